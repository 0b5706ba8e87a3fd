"""The short answers that the embedded ear is good at, as a JSGF grammar."""

from __future__ import annotations

_YES = (
    "yes | yeah | yep | sure | okay | okay then | all right | of course | definitely | correct | right | exactly "
    "| sounds good | looks good | that is right | that is fine | fine | good | great | perfect"
)
_NO = "no | nope | nah | no way | not yet | not now | not really | wrong | that is wrong | definitely not"
_UNSURE = (
    "maybe | i don't know | i don't care | you decide | up to you | both | neither | none | none of them "
    "| all of them | either one"
)
_COMMANDS = (
    "stop | stop it | stop talking | cancel | cancel that | abort | quit | exit | pause | wait | wait a moment "
    "| hold on | go ahead | go on | go back | continue | carry on | keep going | resume | proceed | next | previous "
    "| skip | skip it | skip that | do it | do that | don't do that | undo | undo that | redo | try again | retry "
    "| repeat | repeat that | say that again | what | pardon | louder | quieter | faster | slower | later | done "
    "| i'm done | that's all | that is all | nothing | nothing else | never mind | help | start | start over | begin "
    "| finish | run it | run the tests | show me | read it | read it to me | explain | commit | commit it "
    "| push | push it | commit and push | merge | merge it | revert | revert it | deploy | deploy it | build "
    "| build it | fix it | delete it | keep it | save it | open it | close it | accept | reject | approve | leave it"
)
_POLITE = "thanks | thank you | hello | hi | good morning | goodbye | bye | good night"
_LETTERS = "a | b | c | d | e | f"
_ORDINALS = "first | second | third | fourth | fifth | last"
_DIGITS = "one | two | three | four | five | six | seven | eight | nine"
_TEENS = "ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen"
_TENS = "twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety"

SHORT_ANSWERS = f"""#JSGF V1.0;
grammar short;
<yes> = {_YES};
<no> = {_NO};
<polite> = please | thanks | thank you;
<command> = {_COMMANDS};
<digit> = {_DIGITS};
<below> = <digit> | {_TEENS} | ( {_TENS} ) [ <digit> ];
<number> = zero | <below> | ( <digit> | a ) hundred [ [ and ] <below> ];
<choice> = ( option | number | answer ) ( {_LETTERS} | <number> ) | [ option ] ( {_LETTERS} )
  | the ( {_ORDINALS} ) [ one | option ];
<command_yes> = ( yes | okay ) <command>;
public <answer> = <yes> | <no> | ( yes | no ) <polite> | {_UNSURE} | <command> | <command> please
  | <command_yes> | {_POLITE} | <number> | <choice>;
"""
