"""An IS-07 WebSocket: the client sees the Sources that its token permits, and no others."""

from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect

from nmos_auth import EventSources, NmosAuthMiddleware, event_sources

app = FastAPI()
app.add_middleware(NmosAuthMiddleware)


@app.websocket("/x-nmos/events/v1.0/devices/{device_id}")
async def events(
    websocket: WebSocket, device_id: str, sources: Annotated[EventSources, Depends(event_sources)]
) -> None:
    await websocket.accept()
    try:
        while True:
            command = await websocket.receive_json()
            if command["command"] == "subscription":
                permitted = sources.allowed(command["sources"])
                await websocket.send_json({"device": device_id, "subscribed": list(permitted)})
    except WebSocketDisconnect:
        pass
