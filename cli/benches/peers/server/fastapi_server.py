"""`service.py` on FastAPI and uvicorn, with uvloop and httptools: see `aiohttp_server.py`."""

import asyncio
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Header
from fastapi.responses import Response

import service


@asynccontextmanager
async def lifespan(_):
    writing = asyncio.create_task(service.write_lines())
    yield
    writing.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/{address}")
async def answer(address: str, x_api_key: str = Header("")):
    status, body = service.lookup(address, x_api_key)
    return Response(body, status_code=status, media_type="application/json")


class Server(uvicorn.Server):
    """Tells its port when it answers."""

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


Server(uvicorn.Config(app, host="127.0.0.1", port=0, access_log=False, log_level="warning")).run()
