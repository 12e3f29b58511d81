"""``docker-compose.yml`` and ``Dockerfile``, as far as they can be checked without an engine.

Every service must be unable to do more than its work: not root, read-only, no capabilities, no way to gain any; no
secret written down; writable only where it keeps its books. Whether the containers run is not tested here, and the
README says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.command_line import unknown

REPOSITORY = Path(__file__).resolve().parent.parent.parent
HOME = "/srv/ix"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


@pytest.fixture(scope="module")
def servers(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The services that stay: all but the one that founds the federation and ends."""
    return {name: service for name, service in services.items() if name != "init"}


def test_there_is_a_broker_and_at_least_five_nodes(servers: dict[str, dict[str, Any]]) -> None:
    assert "broker" in servers
    assert len(servers) >= 6


def test_every_service_is_held_as_tight_as_it_can_be(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        user = str(service["user"]).split(":")
        assert user[0].isdigit(), name
        assert int(user[0]) >= 1000, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"} & set(service), name


def test_every_service_has_bounds_and_an_init_process(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["pids_limit"] <= 256, name
        assert service["mem_limit"], name
        assert service["init"] is True, name


def test_every_server_says_how_it_is(servers: dict[str, dict[str, Any]]) -> None:
    for name, service in servers.items():
        check = service["healthcheck"]
        assert "/readyz" in " ".join(check["test"]), name
        assert check["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_nothing_secret_is_written_down(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        environment = service.get("environment", {})
        assert isinstance(environment, dict), f"{name}: write the environment as a mapping"
        said = {key for key in environment if re.search("pass|secret|token|key|seed", key, re.IGNORECASE)}
        assert {key for key in said if not key.endswith("_FILE")} == set(), name
        assert "env_file" not in service, name


def test_what_can_be_written_is_a_named_volume_or_memory(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source, target = mount.split(":")[:2]
            assert source in compose["volumes"], f"{name}: `{mount}` is not a named volume"
            assert f"{target}/".startswith(f"{HOME}/"), name
        assert all(mount.startswith("/tmp:") for mount in service.get("tmpfs", [])), name


def test_no_two_servers_share_a_volume(servers: dict[str, dict[str, Any]]) -> None:
    mounted = [mount.split(":")[0] for service in servers.values() for mount in service.get("volumes", [])]
    assert len(mounted) == len(set(mounted))


def test_the_root_keys_are_where_no_server_reaches(services: dict[str, dict[str, Any]]) -> None:
    holders = {
        name for name, service in services.items() for mount in service["volumes"] if mount.startswith("federation:")
    }
    assert holders == {"init"}


def test_the_broker_alone_is_published_and_on_loopback_only(servers: dict[str, dict[str, Any]]) -> None:
    assert [name for name, service in servers.items() if "ports" in service] == ["broker"]
    assert all(str(port).startswith("127.0.0.1:") for port in servers["broker"]["ports"])


def test_no_node_reaches_the_outside(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    """An internal network publishes nothing, so the broker has one more: without masquerade, it leads nowhere."""
    networks = compose["networks"]
    assert networks["exchange"]["internal"] is True
    assert networks["loopback"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert services["init"]["network_mode"] == "none"
    assert {name for name, service in services.items() if "loopback" in service.get("networks", [])} == {"broker"}
    assert all(set(service.get("networks", [])) <= {"exchange", "loopback"} for service in services.values())


def test_every_server_waits_until_the_federation_is_founded(servers: dict[str, dict[str, Any]]) -> None:
    for name, service in servers.items():
        assert service["depends_on"]["init"]["condition"] == "service_completed_successfully", name


def test_every_service_runs_a_command_that_exists(services: dict[str, dict[str, Any]]) -> None:
    assert {name: wrong for name, service in services.items() if (wrong := unknown(service["command"]))} == {}


def test_the_nodes_are_the_simulated_agencies(services: dict[str, dict[str, Any]]) -> None:
    from agencies.profiles import load_plans

    planned = {plan.id for plan in load_plans()}
    homes = {
        mount.split(":")[1].rsplit("/", 1)[1]
        for name, service in services.items()
        if name not in {"broker", "init"}
        for mount in service["volumes"]
    }
    assert homes == planned


def test_the_image_is_built_from_the_lock_and_runs_as_nobody_in_particular() -> None:
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes" in text
    assert "requirements.txt" in text
    users = re.findall(r"^USER (\d+):(\d+)$", text, flags=re.MULTILINE)
    assert users
    assert all(int(number) >= 1000 for number in users[-1])
    assert not re.search(r"^(ADD|ENV .*(PASS|SECRET|TOKEN))", text, flags=re.MULTILINE)
