"""The settings: all NMOS_AUTH_* variables, from the environment, a file or by name."""

from nmos_auth.settings.environment import (
    ENV_FILE,
    PREFIX,
    EnvironmentSettings,
    effective_environment,
    with_suggestion,
)
from nmos_auth.settings.resource_server import (
    Settings,
    access_to_servers,
    check_client_certificate,
    describe_unknown,
    unknown_variables,
)
from nmos_auth.settings.values import (
    CertificateFile,
    Discovery,
    DnsServers,
    DomainName,
    ExpiredSockets,
    IssuerPolicy,
    Issuers,
    KeptFile,
    ProxyUrl,
    ReadFile,
    UserAgent,
    listed,
    require_https,
)

__all__ = [
    "ENV_FILE",
    "PREFIX",
    "CertificateFile",
    "Discovery",
    "DnsServers",
    "DomainName",
    "EnvironmentSettings",
    "ExpiredSockets",
    "IssuerPolicy",
    "Issuers",
    "KeptFile",
    "ProxyUrl",
    "ReadFile",
    "Settings",
    "UserAgent",
    "access_to_servers",
    "check_client_certificate",
    "describe_unknown",
    "effective_environment",
    "listed",
    "require_https",
    "unknown_variables",
    "with_suggestion",
]
