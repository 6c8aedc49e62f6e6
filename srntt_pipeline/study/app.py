"""The study over HTTP: the page, its pictures, `api/next` and `api/vote`.

Nothing else is answered. Each request's body is small JSON that is checked before it is used; of
files only those that the design names are sent.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from srntt_pipeline.errors import first_problem
from srntt_pipeline.study.design import PICTURES, Design, Part, Side
from srntt_pipeline.study.page import server_page
from srntt_pipeline.study.store import LONGEST_S, PARTICIPANT, Refused, Shown, Store

MOST_BYTES = 2048  # of a request's body

Participant = Annotated[str, Field(pattern=PARTICIPANT)]
Body = TypeVar("Body", bound=Part)


class Ask(Part):
    """`api/next`: who asks."""

    participant: Participant


class Cast(Part):
    """`api/vote`: who chose what, in which turn, in how many seconds."""

    participant: Participant
    position: int = Field(ge=0, le=10_000, strict=True)
    choice: Side
    seconds: float = Field(ge=0, le=LONGEST_S, strict=True)


def create_app(study: Path, design: Design, store: Store) -> Starlette:
    """Return the ASGI application of the study in the folder `study`."""
    page = server_page(design)
    pictures = {file.removeprefix(f"{PICTURES}/"): study / file for file in design.files}
    guards = {
        "Content-Security-Policy": _policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    async def index(request: Request) -> Response:
        return HTMLResponse(page, headers={**guards, "Cache-Control": "no-cache"})

    async def picture(request: Request) -> Response:
        path = pictures.get(request.path_params["name"])
        if path is None or not path.is_file():
            raise HTTPException(404, "no such picture")
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}  # named by its hash
        return FileResponse(path, media_type="image/png", headers={**guards, **kept})

    async def next_turn(request: Request) -> Response:
        asked = await _read(request, Ask)
        return _answer(await run_in_threadpool(store.next, asked.participant))

    async def vote(request: Request) -> Response:
        cast = await _read(request, Cast)
        return _answer(
            await run_in_threadpool(
                store.vote, cast.participant, cast.position, cast.choice, cast.seconds
            )
        )

    async def refused(request: Request, error: Exception) -> Response:
        return _told(409, str(error))

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # as it is registered
        return _told(error.status_code, error.detail)

    return Starlette(
        routes=[
            Route("/", index),
            Route(f"/{PICTURES}/{{name}}", picture),
            Route("/api/next", next_turn, methods=["POST"]),
            Route("/api/vote", vote, methods=["POST"]),
        ],
        exception_handlers={Refused: refused, HTTPException: failed},
    )


def _answer(shown: Shown | None) -> Response:
    """Return a turn as JSON; after the last only that it was that."""
    if shown is None:
        return JSONResponse({"done": True}, headers={"Cache-Control": "no-store"})
    content = {"position": shown.position, "turns": shown.turns, "left": shown.left,
               "right": shown.right}  # fmt: skip
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _told(code: int, problem: str) -> Response:
    return JSONResponse({"error": problem}, code, headers={"Cache-Control": "no-store"})


async def _read(request: Request, kind: type[Body]) -> Body:
    """Return the request's body as `kind`; raise HTTPException for all else."""
    # A page elsewhere can send a form or text, but no JSON without asking first, which is refused.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send application/json")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES} bytes")
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise HTTPException(422, first_problem(error)) from None


def _policy(page: str) -> str:
    """Return a Content-Security-Policy under which nothing runs but the page's own code."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
