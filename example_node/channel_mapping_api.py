"""The HTTP side of the Channel Mapping API, IS-08 v1.0.

The token is used to record who changed the map. Every change is a POST to `map/activations`, so a
permission to write there reaches all Outputs: IS-10 has no permissions for single Outputs.
"""

from collections.abc import Mapping

from fastapi import APIRouter, Response

from example_node.activation import IMMEDIATE
from example_node.changes import Token
from example_node.channel_mapping.models import (
    ActiveMap,
    Channel,
    Input,
    InputCaps,
    InputsAndOutputs,
    MapActivation,
    MapActivationPost,
    Output,
    OutputCaps,
    OutputMap,
    Parent,
    Properties,
)
from example_node.errors import found
from example_node.node import ReferenceNode

BASE = ("inputs/", "outputs/", "map/", "io/")
INPUT_CHILDREN = ("properties/", "parent/", "channels/", "caps/")
OUTPUT_CHILDREN = ("properties/", "sourceid/", "channels/", "caps/")
MAP_CHILDREN = ("activations/", "active/")


def router(node: ReferenceNode) -> APIRouter:
    """Make the routes below /x-nmos/channelmapping/v1.0."""
    api = APIRouter(tags=["IS-08 Channel Mapping API"])
    matrix = node.matrix

    @api.get("")
    async def get_base() -> tuple[str, ...]:
        return BASE

    @api.get("/io")
    async def get_io() -> InputsAndOutputs:
        return matrix.inputs_and_outputs

    _add_inputs(api, matrix.inputs)
    _add_outputs(api, matrix.outputs)
    _add_map(api, node)
    return api


def _add_inputs(api: APIRouter, inputs: Mapping[str, Input]) -> None:
    @api.get("/inputs")
    async def get_inputs() -> list[str]:
        return [f"{input_id}/" for input_id in inputs]

    @api.get("/inputs/{input_id}")
    async def get_input(input_id: str) -> tuple[str, ...]:
        found(inputs, input_id)
        return INPUT_CHILDREN

    @api.get("/inputs/{input_id}/properties")
    async def get_input_properties(input_id: str) -> Properties:
        return found(inputs, input_id).properties

    @api.get("/inputs/{input_id}/parent")
    async def get_input_parent(input_id: str) -> Parent:
        return found(inputs, input_id).parent

    @api.get("/inputs/{input_id}/channels")
    async def get_input_channels(input_id: str) -> tuple[Channel, ...]:
        return found(inputs, input_id).channels

    @api.get("/inputs/{input_id}/caps")
    async def get_input_caps(input_id: str) -> InputCaps:
        return found(inputs, input_id).caps


def _add_outputs(api: APIRouter, outputs: Mapping[str, Output]) -> None:
    @api.get("/outputs")
    async def get_outputs() -> list[str]:
        return [f"{output_id}/" for output_id in outputs]

    @api.get("/outputs/{output_id}")
    async def get_output(output_id: str) -> tuple[str, ...]:
        found(outputs, output_id)
        return OUTPUT_CHILDREN

    @api.get("/outputs/{output_id}/properties")
    async def get_output_properties(output_id: str) -> Properties:
        return found(outputs, output_id).properties

    @api.get("/outputs/{output_id}/sourceid")
    async def get_output_sourceid(output_id: str) -> str | None:
        return found(outputs, output_id).source_id

    @api.get("/outputs/{output_id}/channels")
    async def get_output_channels(output_id: str) -> tuple[Channel, ...]:
        return found(outputs, output_id).channels

    @api.get("/outputs/{output_id}/caps")
    async def get_output_caps(output_id: str) -> OutputCaps:
        return found(outputs, output_id).caps


def _add_map(api: APIRouter, node: ReferenceNode) -> None:
    matrix = node.matrix

    @api.get("/map")
    async def get_map() -> tuple[str, ...]:
        return MAP_CHILDREN

    @api.get("/map/active")
    async def get_active() -> ActiveMap:
        return matrix.active

    @api.get("/map/active/{output_id}")
    async def get_active_output(output_id: str) -> OutputMap:
        found(matrix.outputs, output_id)
        return OutputMap(map={output_id: matrix.active.map[output_id]})

    @api.get("/map/activations")
    async def get_activations() -> dict[str, MapActivation]:
        return matrix.activations

    @api.post("/map/activations")
    async def post_activation(
        request: MapActivationPost, token: Token, response: Response
    ) -> dict[str, MapActivation]:
        received = node.clock.now()
        activated = await matrix.activate(request, received)
        node.changes.record(token, "map/activations", request.action, time=received)
        response.status_code = 200 if request.activation.mode == IMMEDIATE else 202
        return activated

    @api.get("/map/activations/{activation_id}")
    async def get_activation(activation_id: str) -> MapActivation:
        return found(matrix.activations, activation_id)

    @api.delete("/map/activations/{activation_id}", status_code=204)
    async def delete_activation(activation_id: str, token: Token) -> None:
        cancelled = await matrix.cancel(activation_id)
        path = f"map/activations/{activation_id}"
        node.changes.record(token, path, cancelled.action, time=node.clock.now())
