"""The speech server: OpenAI's audio API and a streaming one over WebSockets, in front of every engine there is."""
