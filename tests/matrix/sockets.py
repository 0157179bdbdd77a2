"""A Node whose event WebSocket stays open until somebody closes it."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from nmos_auth import NmosAuthMiddleware

__all__ = ["app"]

app = FastAPI()
app.add_middleware(NmosAuthMiddleware)


@app.websocket("/x-nmos/events/v1.0/devices/{device}")
async def events(websocket: WebSocket, device: str) -> None:
    """Answer each message with the device."""
    await websocket.accept()
    try:
        while True:
            await websocket.receive_text()
            await websocket.send_text(device)
    except WebSocketDisconnect:
        pass
