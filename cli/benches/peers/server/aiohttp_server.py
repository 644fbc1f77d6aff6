"""`service.py` on aiohttp and uvloop. Prints its port when it answers.

Arguments: the compiled database that `ipgeo dev` serves, the one API key, a file for usage lines.
"""

import uvloop
from aiohttp import web

import service


async def answer(request):
    status, body = service.lookup(request.match_info["address"], request.headers.get("x-api-key"))
    return web.Response(text=body, status=status, content_type="application/json")


async def main():
    app = web.Application()
    app.router.add_get("/{address}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await service.write_lines()


uvloop.run(main())
