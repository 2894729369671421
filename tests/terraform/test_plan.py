"""The deployment's rules, read from a plan: open ports, rights, encryption, availability."""

import re

import pytest

from aggregator.runtime.parts.outlet_topics import missing_topics
from aggregator.settings.loader import load
from tests.parts.process import ROOT
from tests.parts.terraform import ACCOUNT, DIGESTS, Plan, of_machine, roles, statements, templates

pytestmark = pytest.mark.real

# Statements whose actions cannot be limited to a resource; terraform/modules/identity has the reason beside each.
MAY_NAME_ALL = {"SessionManagerInsteadOfSsh", "SignInToEcr", "FindWhatToScrape"}
# Resources whose names have an unknown part: an instance's id, a log stream, an object's key, MSK's own part.
MAY_END_OPEN = (
    rf"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/\*",
    rf"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/prices-production/\w+:\*",
    rf"arn:aws:kafka:eu-west-1:{ACCOUNT}:(cluster/prices-production/\*|(topic|group)/prices-production/\*/\w+)",
    rf"arn:aws:s3:::prices-production-rescue-{ACCOUNT}/\*",
    rf"arn:aws:s3:::prices-production-lake-{ACCOUNT}/(raw/|raw-errors/)?\*",
)


def test_only_the_balancer_is_open_and_there_is_no_ssh(plan: Plan) -> None:
    """Only the load balancer accepts public addresses, on 80 and 443; no rule allows port 22."""
    rules = plan.of("aws_vpc_security_group_ingress_rule")
    assert {name for name, one in rules.items() if one["cidr_ipv4"] or one["cidr_ipv6"] or one["prefix_list_id"]} == {
        'public["0.0.0.0/0-80"]',
        'public["0.0.0.0/0-443"]',
    }
    public = plan.named("network", "aws_vpc_security_group_ingress_rule.public", "security_group_id")
    assert 'aws_security_group.main["alb"]' in public
    for name, one in rules.items():
        assert one["ip_protocol"] == "tcp", name
        assert not one["from_port"] <= 22 <= one["to_port"], name
    assert not plan.of("aws_security_group_rule")
    assert all(not group["ingress"] for group in plan.of("aws_security_group").values() if "ingress" in group)
    assert not any(one.get("key_name") for one in (*plan.of("aws_instance").values(), *templates(plan)))


def test_machines_have_no_public_address(plan: Plan) -> None:
    """Machines have no public address, also not by their subnet; only the balancer and the NAT gateway have one."""
    for module, machines, argument in (
        ("compute", "aws_autoscaling_group.api", "vpc_zone_identifier"),
        ("compute", "aws_autoscaling_group.refresher", "vpc_zone_identifier"),
        ("compute", "aws_instance.exchange", "subnet_id"),
        ("monitoring", "aws_instance.monitoring", "subnet_id"),
        ("data", "aws_elasticache_subnet_group.main", "subnet_ids"),
        ("network", "aws_vpc_endpoint.interface", "subnet_ids"),
    ):
        subnets = {name for name in plan.named(module, machines, argument) if name.startswith("aws_subnet.")}
        assert {name.partition("[")[0] for name in subnets} == {"aws_subnet.private"}, machines
    for one in templates(plan):
        assert [interface["associate_public_ip_address"] for interface in one["network_interfaces"]] == ["false"]
    assert all(one["associate_public_ip_address"] is False for one in plan.of("aws_instance").values())
    assert all(not one["map_public_ip_on_launch"] for one in plan.of("aws_subnet").values())
    assert list(plan.of("aws_eip")) == ['nat["eu-west-1a"]']
    assert list(plan.of("aws_lb")) == ["main"]


def test_the_metadata_service_wants_a_token(plan: Plan) -> None:
    """The metadata service requires IMDSv2 tokens, with a hop limit of one."""
    machines = [*templates(plan), *plan.of("aws_instance").values()]
    assert len(machines) == 7
    for one in machines:
        (options,) = one["metadata_options"]
        assert (options["http_tokens"], options["http_put_response_hop_limit"]) == ("required", 1)


def test_no_role_has_a_wildcard_without_a_reason(plan: Plan) -> None:
    """Actions have no wildcard; resources have one only in the listed exceptions."""
    assert len(roles(plan)) == 7
    for role, allowed in roles(plan).items():
        for one in allowed:
            assert not [action for action in one["Action"] if "*" in action], (role, one)
            for resource in one["Resource"]:
                if resource == "*":
                    assert one["Sid"] in MAY_NAME_ALL, (role, one)
                elif "*" in resource:
                    assert any(re.fullmatch(pattern, resource) for pattern in MAY_END_OPEN), (role, resource)
    assert not plan.of("aws_iam_role_policy_attachment"), "AWS' own policies allow more than is needed"
    assert not plan.of("aws_iam_user")
    assert not plan.of("aws_iam_access_key")


def test_each_role_reaches_its_own_only(plan: Plan) -> None:
    """Each role reaches only its own settings, images, table and Redis user."""
    for kind in ("api", "refresher", "processor"):
        assert of_machine(plan, kind, "ReadItsSettings")["Resource"] == [
            f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/prices-production/{kind}"
        ]
        assert of_machine(plan, kind, "PullItsImages")["Resource"] == [
            f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/prices-production/aggregator"
        ]
        assert of_machine(plan, kind, "UseTheTable")["Resource"] == [
            f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/prices-production-prices"
        ]
        assert set(of_machine(plan, kind, "SignInToRedis")["Resource"]) == {
            f"arn:aws:elasticache:eu-west-1:{ACCOUNT}:replicationgroup:prices-production",
            f"arn:aws:elasticache:eu-west-1:{ACCOUNT}:user:prices-production-service",
        }
    sids = {role: {one.get("Sid") for one in allowed} for role, allowed in roles(plan).items()}
    assert [role for role, held in sids.items() if "RescueItsOutbox" in held] == [
        'machine["processor"]',
        'machine["refresher"]',
    ]
    assert [role for role, held in sids.items() if "FindWhatToScrape" in held] == ['machine["monitoring"]']


def test_rights_on_the_table_are_what_the_code_calls(plan: Plan) -> None:
    """The rights on the table equal the calls in the code, without those that only Terraform makes."""
    source = "".join(one.read_text(encoding="utf-8") for one in (ROOT / "aggregator/stores/dynamodb").glob("*.py"))
    called = {"dynamodb:" + name.title().replace("_", "") for name in re.findall(r"client\.([a-z_]+)\(", source)}
    terraform_s = {"dynamodb:CreateTable", "dynamodb:UpdateTimeToLive"}
    assert set(of_machine(plan, "refresher", "UseTheTable")["Action"]) == called - terraform_s
    assert set(of_machine(plan, "api", "UseTheTable")["Action"]) == called - terraform_s - {"dynamodb:BatchWriteItem"}


def test_everything_kept_is_encrypted(plan: Plan) -> None:
    """Disks, table, cache, logs, images, buckets and the alarm topic are encrypted."""
    for one in templates(plan):
        assert [disk["ebs"][0]["encrypted"] for disk in one["block_device_mappings"]] == ["true", "true"]
    for one in plan.of("aws_instance").values():
        assert [disk["encrypted"] for disk in one["root_block_device"]] == [True]
    assert all(one["encrypted"] for one in plan.of("aws_ebs_volume").values())
    assert all(one["server_side_encryption"][0]["enabled"] for one in plan.of("aws_dynamodb_table").values())
    redis = plan.one("aws_elasticache_replication_group")
    assert redis["at_rest_encryption_enabled"]
    assert redis["transit_encryption_enabled"]
    for name in plan.of("aws_cloudwatch_log_group"):
        assert plan.unknown_of("aws_cloudwatch_log_group")[name]["kms_key_id"], "a key that is yet to be made"
    assert plan.unknown_of("aws_sns_topic")["alarms"]["kms_master_key_id"]
    assert all(
        one["encryption_configuration"][0]["encryption_type"] == "KMS" for one in plan.of("aws_ecr_repository").values()
    )
    buckets = set(plan.of("aws_s3_bucket"))
    assert buckets == {"access", "rescue", 'module.lake[0].main["lake"]', 'module.lake[0].main["results"]'}
    assert set(plan.of("aws_s3_bucket_server_side_encryption_configuration")) == buckets
    assert plan.one("aws_kms_key")["enable_key_rotation"]


def test_buckets_are_closed(plan: Plan) -> None:
    """Buckets block public access and refuse requests without TLS."""
    for name in plan.of("aws_s3_bucket"):
        block = plan.of("aws_s3_bucket_public_access_block")[name]
        assert all(block[what] for what in block if what.startswith(("block_", "ignore_", "restrict_")))
        denied = [one for one in statements(plan.of("aws_s3_bucket_policy")[name]["policy"]) if one["Effect"] == "Deny"]
        assert [one["Condition"] for one in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_redis_is_signed_in_to_and_survives_a_zone(plan: Plan) -> None:
    """Redis uses IAM and a user limited to its keys and channels; the default user is off; two nodes in two zones."""
    redis = plan.one("aws_elasticache_replication_group")
    assert redis["auth_token"] is None
    assert (redis["multi_az_enabled"], redis["automatic_failover_enabled"], redis["num_cache_clusters"]) == (
        True,
        True,
        2,
    )
    users = plan.of("aws_elasticache_user")
    assert users["service"]["authentication_mode"] == [{"type": "iam", "passwords": None}]
    assert users["service"]["user_id"] == users["service"]["user_name"]
    assert "~aggregator:*" in users["service"]["access_string"]
    assert users["default"]["access_string"].startswith("off ")
    assert set(plan.one("aws_elasticache_user_group")["user_ids"]) == {one["user_id"] for one in users.values()}
    assert plan.unknown_of("aws_elasticache_replication_group")["main[0]"]["user_group_ids"], (
        "the group's, when it is made"
    )


def test_the_table_is_as_the_service_wants_it_and_safe(plan: Plan) -> None:
    """The table has the service's keys and TTL, on-demand billing, point-in-time recovery and deletion protection."""
    table = plan.of("aws_dynamodb_table")["prices"]
    assert (table["hash_key"], table["range_key"]) == ("asset", "timestamp")
    assert {one["name"]: one["type"] for one in table["attribute"]} == {"asset": "S", "timestamp": "N"}
    assert table["billing_mode"] == "PAY_PER_REQUEST"
    assert (table["ttl"][0]["attribute_name"], table["ttl"][0]["enabled"]) == ("expires_at", True)
    assert table["point_in_time_recovery"][0]["enabled"]
    assert table["deletion_protection_enabled"]
    assert plan.one("aws_lb")["enable_deletion_protection"]


def test_there_is_no_secret_anywhere(plan: Plan) -> None:
    """No user data and no resource contains a secret."""
    for machine, told in plan.cloud_init().items():
        assert not re.search(r"AKIA|API_KEYS|aws_secret|BEGIN [A-Z ]*PRIVATE", told), machine
    assert {one["type"] for one in plan.of("aws_ssm_parameter").values()} == {"String"}
    names = {one["name"] for one in plan.of("aws_ssm_parameter").values()}
    assert not [name for name in names if name.endswith("API_KEYS")]
    assert not {"random_password", "aws_secretsmanager_secret_version"} & {one["type"] for one in plan.resources}


def test_images_run_by_digest(plan: Plan) -> None:
    """Every machine runs images by digest, from repositories with immutable tags."""
    registry = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/prices-production"
    for machine, told in plan.cloud_init().items():
        images = set(re.findall(r'IMAGE=\\?"([^"\\]+)', told))
        wanted = ("prometheus", "grafana") if machine.startswith("monitoring") else ("aggregator",)
        assert images == {f"{registry}/{name}@{DIGESTS[name]}" for name in wanted}
    assert {one["image_tag_mutability"] for one in plan.of("aws_ecr_repository").values()} == {"IMMUTABLE"}


def test_everything_is_tagged(plan: Plan) -> None:
    """Every resource has the tags Project and Environment, also the machines and disks of groups."""
    for one in plan.resources:
        if "tags_all" in one.get("values", {}):
            tags = one["values"]["tags_all"] or {}
            assert (tags.get("Project"), tags.get("Environment")) == ("prices", "production"), one["address"]
    for template in templates(plan):
        kinds = {one["resource_type"]: one["tags"] for one in template["tag_specifications"]}
        assert set(kinds) == {"instance", "volume", "network-interface"}
        assert {tags["Project"] for tags in kinds.values()} == {"prices"}


def test_machines_reach_aws_without_the_internet(plan: Plan) -> None:
    """Each AWS service that machines call has a VPC endpoint, and no other has."""
    found = {one["service_name"]: one["vpc_endpoint_type"] for one in plan.of("aws_vpc_endpoint").values()}
    interfaces = ("ecr.api", "ecr.dkr", "logs", "ssm", "ssmmessages", "kinesis-streams", "sqs")
    kinds = dict.fromkeys(("dynamodb", "s3"), "Gateway") | dict.fromkeys(interfaces, "Interface")
    assert found == {f"com.amazonaws.eu-west-1.{name}": kind for name, kind in kinds.items()}


def test_the_balancer_keeps_a_log_behind_waf(plan: Plan) -> None:
    """The balancer logs every request, and WAF logs what it blocks, with keys redacted."""
    assert [one["enabled"] for one in plan.one("aws_lb")["access_logs"]] == [True]
    assert list(plan.of("aws_wafv2_web_acl_association")) == ["main[0]"]
    redacted = plan.one("aws_wafv2_web_acl_logging_configuration")["redacted_fields"]
    assert {one["single_header"][0]["name"] for one in redacted} == {"authorization", "x-api-key"}


def test_with_a_certificate_plain_http_is_sent_on(plan: Plan) -> None:
    """With a certificate, port 80 redirects and 443 accepts TLS 1.2 and 1.3 only; without one every plan warns."""
    listeners = plan.of("aws_lb_listener")
    assert listeners["http"]["default_action"][0]["type"] == "redirect"
    assert listeners["https[0]"]["ssl_policy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert "No certificate_arn" not in plan.said


def test_the_service_understands_its_settings(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service accepts the settings that SSM will hold; the cache's URL is made up: a plan does not know it."""
    for role in ("api", "refresher", "processor"):
        held = {
            one["name"].rpartition("/")[2]: one.get("value") or "rediss://user@host:6379/0?iam=cache&region=eu-west-1"
            for one in plan.of("aws_ssm_parameter").values()
            if one["name"].startswith(f"/prices-production/{role}/")
        }
        with monkeypatch.context() as environment:
            for name, value in held.items():
                environment.setenv(f"AGGREGATOR_{name}", value)
            settings = load({})
        assert (settings.role, settings.hot_size, settings.retention_days) == (role, 50, 30)
        assert set(settings.allowed_hosts) > {"prices.example.com", "*.eu-west-1.elb.amazonaws.com"}
        assert bool(settings.trusted_proxies) == (role == "api")
        wanted = {topic for outlet in settings.outlet_addresses for topic in outlet.filter.topics}
        assert wanted.isdisjoint(missing_topics(settings)), "it would refuse to start"
