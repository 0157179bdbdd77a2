"""Metrics for Prometheus at /metrics, beside the Node of node.py."""

from node import app
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import make_asgi_app

from nmos_auth.operate.metrics import instrument

set_meter_provider(MeterProvider([PrometheusMetricReader()]))
instrument(app)
app.mount("/metrics", make_asgi_app())
