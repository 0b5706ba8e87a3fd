"""The suite's tools and prompt that need several rounds: from 2026-07-28 on a result can say what is still wanted."""

from __future__ import annotations

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)


def ask(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(question: str, max_tokens: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(text=question))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens))


def answered(ctx: Context, key: str, field: str) -> str | None:
    """The value the user gave, or None: not asked, declined, or not an answer to this."""
    response = (ctx.input_responses or {}).get(key)
    if not isinstance(response, ElicitResult) or response.action != "accept":
        return None
    value = (response.content or {}).get(field)
    return None if value is None else str(value)


def wanted(state: str | None = None, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def register_input_fixtures(server: MCPServer) -> None:
    _one_question(server)
    _states(server)
    _several_questions(server)


def _one_question(server: MCPServer) -> None:
    @server.tool(description="Asks a name", structured_output=False)
    async def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
        name = answered(ctx, "user_name", "name")
        if name is None:
            return wanted(user_name=ask("What is your name?", "name"))
        return f"Hello, {name}!"

    @server.tool(description="Samples the client's model", structured_output=False)
    async def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
        response = (ctx.input_responses or {}).get("capital_question")
        if not isinstance(response, CreateMessageResult):
            return wanted(capital_question=sample("What is the capital of France?", 100))
        return response.content.text if isinstance(response.content, TextContent) else "no text"

    @server.tool(description="Asks the client's roots", structured_output=False)
    async def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
        response = (ctx.input_responses or {}).get("client_roots")
        if not isinstance(response, ListRootsResult):
            return wanted(client_roots=ListRootsRequest())
        return "Roots: " + ", ".join(str(root.uri) for root in response.roots)

    @server.prompt(description="Asks for its context")
    async def test_input_required_result_prompt(ctx: Context) -> str | InputRequiredResult:
        context = answered(ctx, "user_context", "context")
        if context is None:
            return wanted(user_context=ask("What context should the prompt use?", "context"))
        return f"Prompt with context: {context}"


def _states(server: MCPServer) -> None:
    """The SDK seals `request_state` and refuses one that was changed, before a tool sees it."""

    @server.tool(description="Asks and remembers that it did", structured_output=False)
    async def test_input_required_result_request_state(ctx: Context) -> str | InputRequiredResult:
        if answered(ctx, "confirm", "ok") is None or ctx.request_state != "asked":
            return wanted("asked", confirm=ask("Please confirm", "ok", "boolean"))
        return "state-ok"

    @server.tool(description="Asks with a state that must come back as it was", structured_output=False)
    async def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequiredResult:
        if answered(ctx, "confirm", "ok") is None or ctx.request_state != "asked":
            return wanted("asked", confirm=ask("Please confirm", "ok", "boolean"))
        return "state-ok"

    @server.tool(description="Asks two things, one after the other", structured_output=False)
    async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
        state = ctx.request_state or ""
        if state.startswith("name:"):
            color = answered(ctx, "step2", "color")
            if color is not None:
                return f"{state.removeprefix('name:')} likes {color}"
            return wanted(state, step2=ask("Step 2: What is your favorite color?", "color"))
        name = answered(ctx, "step1", "name")
        if name is None:
            return wanted("start", step1=ask("Step 1: What is your name?", "name"))
        return wanted(f"name:{name}", step2=ask("Step 2: What is your favorite color?", "color"))


def _several_questions(server: MCPServer) -> None:
    @server.tool(description="Asks three things at once", structured_output=False)
    async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
        responses = ctx.input_responses or {}
        name = answered(ctx, "user_name", "name")
        if name is None or "greeting" not in responses or "client_roots" not in responses:
            return wanted(
                "asked",
                user_name=ask("What is your name?", "name"),
                greeting=sample("Generate a greeting", 50),
                client_roots=ListRootsRequest(),
            )
        return f"All answers came, {name}"

    @server.tool(description="Asks only what the client can answer", structured_output=False)
    async def test_input_required_result_capabilities(ctx: Context) -> str | InputRequiredResult:
        able = ctx.client_capabilities
        requests: dict[str, InputRequest] = {}
        if able and able.elicitation:
            requests["user_name"] = ask("What is your name?", "name")
        if able and able.sampling:
            requests["greeting"] = sample("Generate a greeting", 50)
        if not requests or ctx.input_responses:
            return "Nothing more to ask"
        return InputRequiredResult(input_requests=requests)
