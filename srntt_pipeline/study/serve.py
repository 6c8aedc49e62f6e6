"""Running the study's server: one process, which alone writes the votes."""

import logging
from pathlib import Path

from srntt_pipeline.errors import InputError
from srntt_pipeline.outputs import open_output
from srntt_pipeline.study.design import read_design
from srntt_pipeline.study.store import FILES, Store

log = logging.getLogger(__name__)


def serve_study(study: Path, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the study in the folder `study` until a signal ends it.

    Votes go to `votes.sqlite` there; another server of that folder is refused. Raises InputError,
    as where Starlette or uvicorn is not installed, or the port is taken.
    """
    try:
        import uvicorn

        from srntt_pipeline.study.app import create_app
    except ImportError:
        raise InputError(
            "user-study serve takes Starlette and uvicorn, which are not installed: "
            "pip install 'srntt-pipeline[study]'"
        ) from None
    design = read_design(study)
    with open_output(study, "study") as output:
        output.claim(map(Path, FILES))
        store = Store(study / FILES[0], design)
        config = uvicorn.Config(
            create_app(study, design, store),
            host=host,
            port=port,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        try:
            listening = config.bind_socket()
        except SystemExit:
            store.close()
            raise InputError(
                f"cannot listen on {host}, port {port}: is it taken? give another --port"
            ) from None
        try:
            shown = f"[{host}]" if ":" in host else host
            log.info("The study is at http://%s:%d/", shown, listening.getsockname()[1])
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            listening.close()
            store.close()
