"""The rules of the trade stream, read from the plan: alarms, rights, encryption, tables of Athena."""

import json
import re

import pytest

from aggregator.archive.datasets import DATASETS
from aggregator.archive.layout import FileName
from aggregator.archive.storages.address import S3Address, parse_archive_url
from aggregator.stores.events import dynamodb_items as events
from aggregator.stores.trades import dynamodb_items as trades
from aggregator.trades.event_log.kafka.address import parse_kafka_url
from aggregator.trades.event_log.kinesis.address import parse_kinesis_url
from scripts.athena_columns import TYPES
from tests.parts.process import ROOT
from tests.parts.terraform import ACCOUNT, Plan, of_machine, roles, statements

pytestmark = pytest.mark.real

# Calls of the code whose right has another name, or that only Terraform makes.
OTHER_NAMES = {"TransactWriteItems": {"PutItem", "DeleteItem", "ConditionCheckItem"}}
TERRAFORM_S = {"CreateTable", "UpdateTimeToLive"}


def setting(plan: Plan, role: str, name: str) -> str:
    """Return the value of a setting of a role."""
    wanted = f"/prices-production/{role}/{name}"
    (found,) = [one["value"] for one in plan.of("aws_ssm_parameter").values() if one["name"] == wanted]
    return str(found)


def alarmed(plan: Plan, metric: str) -> set[str]:
    """Return the values of the dimensions with an alarm on a metric that tells people, not one that only scales."""
    kind = "aws_cloudwatch_metric_alarm"
    tells = {name for name, unknown in plan.unknown_of(kind).items() if unknown.get("ok_actions")}
    return {
        value
        for name, one in plan.of(kind).items()
        if name in tells and one["metric_name"] == metric and one["actions_enabled"]
        for value in one["dimensions"].values()
    }


def called(*patterns: str) -> set[str]:
    """Return the rights that the calls of DynamoDB in some sources need."""
    files = [file for pattern in patterns for file in sorted((ROOT / "aggregator").glob(pattern))]
    found = re.findall(r"(?:client\.|table\(\s*\")([a-z_]+)[(\"]", "".join(file.read_text() for file in files))
    names = {name.title().replace("_", "") for name in found}
    return set().union(*(OTHER_NAMES.get(name, {name}) for name in names)) - TERRAFORM_S


def rights(plan: Plan, role: str, sid: str) -> set[str]:
    """Return the actions of a statement, without the name of the service."""
    return {action.partition(":")[2] for action in of_machine(plan, role, sid)["Action"]}


def test_the_stream_is_encrypted_and_every_queue_and_stream_has_alarms(plan: Plan) -> None:
    """Stream and queues use the deployment's key; age and depth of queues, age and throttles of streams have alarms."""
    stream = plan.one("aws_kinesis_stream")
    assert stream["encryption_type"] == "KMS"
    assert plan.unknown_of("aws_kinesis_stream")["module.streaming[0].trades"]["kms_key_id"]
    for metric in (
        "GetRecords.IteratorAgeMilliseconds",
        "ReadProvisionedThroughputExceeded",
        "WriteProvisionedThroughputExceeded",
    ):
        assert stream["name"] in alarmed(plan, metric)
    queues = plan.of("aws_sqs_queue")
    assert len(queues) == 2
    for name, queue in queues.items():
        assert plan.unknown_of("aws_sqs_queue")[name]["kms_master_key_id"]
        assert queue["name"] in alarmed(plan, "ApproximateAgeOfOldestMessage")
        assert queue["name"] in alarmed(plan, "ApproximateNumberOfMessagesVisible")
    tables = {one["name"] for name, one in plan.of("aws_dynamodb_table").items() if "leases" not in name}
    assert tables <= alarmed(plan, "WriteThrottleEvents")
    assert plan.one("aws_kinesis_firehose_delivery_stream")["name"] in alarmed(plan, "DeliveryToS3.DataFreshness")


def test_what_a_reader_cannot_process_is_set_aside(plan: Plan) -> None:
    """After five attempts a message goes to the dead-letter queue, which is of the same kind and takes no others."""
    queues = plan.of("aws_sqs_queue")
    events_queue, dead = queues["module.fanout[0].events"], queues["module.fanout[0].dead"]
    policy = json.loads(events_queue["redrive_policy"])
    place = f"arn:aws:sqs:eu-west-1:{ACCOUNT}"
    assert policy == {"deadLetterTargetArn": f"{place}:{dead['name']}", "maxReceiveCount": 5}
    assert events_queue["fifo_queue"] == dead["fifo_queue"] == events_queue["name"].endswith(".fifo")
    allowed = json.loads(plan.one("aws_sqs_queue_redrive_allow_policy")["redrive_allow_policy"])
    assert allowed["sourceQueueArns"] == [f"{place}:{events_queue['name']}"]
    for policy_of in plan.of("aws_sqs_queue_policy").values():
        (denied,) = statements(policy_of["policy"])
        assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_tables_are_as_the_service_wants_them_and_safe(plan: Plan) -> None:
    """Tables of trades and events have the service's keys and TTL, on-demand billing, recovery and protection."""
    wanted = {
        'module.fanout[0].main["trades"]': (trades.PARTITION, trades.SORT),
        'module.fanout[0].main["events"]': (events.PARTITION, events.SORT),
    }
    for name, keys in wanted.items():
        table = plan.of("aws_dynamodb_table")[name]
        assert (table["hash_key"], table["range_key"]) == keys
        assert {one["type"] for one in table["attribute"]} == {"S"}
        assert (table["ttl"][0]["attribute_name"], table["ttl"][0]["enabled"]) == ("expires_at", True)
        assert (table["billing_mode"], table["stream_enabled"]) == ("PAY_PER_REQUEST", True)
    for table in plan.of("aws_dynamodb_table").values():
        assert table["point_in_time_recovery"][0]["enabled"]
        assert table["deletion_protection_enabled"]


def test_rights_are_what_the_code_calls(plan: Plan) -> None:
    """The rights of a processor on its tables and its stream equal the calls in the code."""
    assert rights(plan, "processor", "UseTrades") == called("stores/dynamodb/*.py")
    assert rights(plan, "processor", "UseEvents") == called("stores/dynamodb/*.py", "stores/events/*.py")
    assert rights(plan, "processor", "ShareTheShards") == called("trades/event_log/kinesis/leases.py")
    source = (ROOT / "aggregator/trades/event_log/kinesis/client.py").read_text()
    kinesis = {name.title().replace("_", "") for name in re.findall(r"self\._streams\.([a-z]+_[a-z_]+)\(", source)}
    assert rights(plan, "processor", "ReadTheStream") | rights(plan, "api", "AppendTrades") == kinesis


def test_each_role_reaches_its_part_of_the_stream_only(plan: Plan) -> None:
    """The API appends and reads; processors read the stream and write; a refresher has no right on the stream."""
    sids = {role: {one.get("Sid") for one in allowed} for role, allowed in roles(plan).items()}
    assert {"AppendTrades", "ReadTheArchive"} <= sids['machine["api"]']
    assert not sids['machine["api"]'] & {"ReadTheStream", "ShareTheShards", "KeepTheArchive", "SendEvents"}
    assert {"ReadTheStream", "ShareTheShards", "KeepTheArchive", "SendEvents"} <= sids['machine["processor"]']
    assert not sids['machine["refresher"]'] & {"ReadTheStream", "AppendTrades", "UseTrades"}
    assert rights(plan, "api", "UseTrades") == {"DescribeTable", "DescribeTimeToLive", "Query"}


def test_msk_is_reached_by_those_who_use_it_and_signed_in_to(plan: Plan) -> None:
    """API and processors reach MSK on its port of IAM; the API may write the topic, processors read and share it."""
    assert plan.one("aws_msk_serverless_cluster")["client_authentication"][0]["sasl"][0]["iam"] == [{"enabled": True}]
    for kind in ("ingress", "egress"):
        rules = plan.of(f"aws_vpc_security_group_{kind}_rule")
        found = {name: rule["from_port"] for name, rule in rules.items() if ".kafka[" in name}
        assert found == {f'module.streaming[0].kafka["{role}"]': 9098 for role in ("api", "processor")}
    assert rights(plan, "api", "UseTheTopic") == {"DescribeTopic", "WriteData"}
    assert rights(plan, "processor", "UseTheTopic") == {"DescribeTopic", "WriteData", "ReadData"}
    assert rights(plan, "processor", "ShareTheTopic") == {"AlterGroup", "DescribeGroup"}
    topic = f"arn:aws:kafka:eu-west-1:{ACCOUNT}:topic/prices-production/*/trades"
    assert of_machine(plan, "processor", "UseTheTopic")["Resource"] == [topic]
    assert not {
        one["Sid"]
        for one in roles(plan)['machine["refresher"]']
        if any(action.startswith("kafka") for action in one["Action"])
    }


def test_the_endpoints_let_pass_what_roles_may(plan: Plan) -> None:
    """The gateways of DynamoDB and S3 let pass every right of the stream, for this account only."""
    endpoints = plan.of("aws_vpc_endpoint")
    for service in ("dynamodb", "s3"):
        passing = statements(endpoints[service]["policy"])
        for role in ("api", "refresher", "processor"):
            for one in roles(plan)[f'machine["{role}"]']:
                if one["Action"][0].startswith(f"{service}:"):
                    assert any(
                        set(one["Action"]) <= set(allowed["Action"])
                        and set(one["Resource"]) <= set(allowed["Resource"])
                        for allowed in passing
                    ), (role, one)
        for allowed in passing:
            assert allowed.get("Sid") == "PackagesAndLayers" or allowed["Condition"]["StringEquals"] == {
                "aws:PrincipalAccount": ACCOUNT
            }


def test_processors_are_private_and_read_the_stream(plan: Plan) -> None:
    """A processor is in the private subnets, reachable by the monitoring only, and its settings name the stream."""
    address = parse_kinesis_url(setting(plan, "processor", "TRADES_LOG"))
    assert address.stream == plan.one("aws_kinesis_stream")["name"]
    assert address.table in {one["name"] for one in plan.of("aws_dynamodb_table").values()}
    into = [name for name in plan.of("aws_vpc_security_group_ingress_rule") if name.endswith('-processor"]')]
    assert into == ['inside["monitoring-processor"]']
    assert plan.outputs["stream"]["value"]["stream"] == address.stream


def test_processors_scale_by_the_lag_of_their_log(plan: Plan) -> None:
    """Processors grow at ten seconds of lag and shrink below one, as Kinesis or MSK measures it; a minute alarms."""
    log = setting(plan, "processor", "TRADES_LOG")
    if log.startswith("kafka://"):
        address = parse_kafka_url(log)
        second, namespace, metric = 1, "AWS/Kafka", "EstimatedMaxTimeLag"  # in seconds
        cluster = plan.one("aws_msk_serverless_cluster")["cluster_name"]
        dimensions = {"Cluster Name": cluster, "Consumer Group": address.group, "Topic": address.topic}
        assert of_machine(plan, "processor", "UseTheTopic")["Resource"][0].endswith(f"/{address.topic}")
        assert of_machine(plan, "processor", "ShareTheTopic")["Resource"][0].endswith(f"/{address.group}")
    else:
        second, namespace, metric = 1000, "AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds"  # in milliseconds
        dimensions = {"StreamName": parse_kinesis_url(log).stream}
    alarms = plan.of("aws_cloudwatch_metric_alarm")
    behind, quiet = alarms["module.processors[0].behind"], alarms["module.processors[0].quiet"]
    assert (behind["namespace"], behind["metric_name"], behind["dimensions"]) == (namespace, metric, dimensions)
    assert (behind["threshold"], behind["evaluation_periods"]) == (10 * second, 3)
    queries = {one["id"]: one for one in quiet["metric_query"]}
    (age,) = queries["age"]["metric"]
    assert (age["namespace"], age["metric_name"], age["dimensions"]) == (namespace, metric, dimensions)
    assert queries["busy"]["expression"] == f"IF(FILL(age, 999999) < {second} AND cpu < 30, 0, 1)"
    assert quiet["treat_missing_data"] == "breaching"
    assert set(dimensions.values()) <= alarmed(plan, metric)
    (waiting,) = [
        one
        for name, one in alarms.items()
        if one["metric_name"] == metric and one["dimensions"] == dimensions and name != "module.processors[0].behind"
    ]
    assert (waiting["threshold"], waiting["evaluation_periods"]) == (60 * second, 5)


def test_tables_of_athena_are_the_archive_s(plan: Plan) -> None:
    """Each dataset has a table with its columns in order, and projected partitions that lead to its files."""
    tables = {one["name"]: one for one in plan.of("aws_glue_catalog_table").values()}
    assert set(tables) == {dataset.name for dataset in DATASETS.values()}
    archive = parse_archive_url(setting(plan, "processor", "ARCHIVE_URL"))
    assert isinstance(archive, S3Address)
    for dataset in DATASETS.values():
        table = tables[dataset.name]
        columns = {one["name"]: one["type"] for one in table["storage_descriptor"][0]["columns"]}
        assert list(columns.items()) == [(name, TYPES[kind]) for name, kind in dataset.columns.items()], (
            "python scripts/athena_columns.py"
        )
        assert table["parameters"]["projection.enabled"] == "true"
        folder = table["parameters"]["storage.location.template"]
        for name, value in {"year": 2026, "month": 11, "day": 3, "hour": 9}.items():
            first, last = map(int, table["parameters"][f"projection.{name}.range"].split(","))
            assert first <= value <= last
            folder = folder.replace(f"${{{name}}}", f"{value:0{table['parameters'][f'projection.{name}.digits']}d}")
        path = FileName(dataset.name, 1793696400, 1793696700).path  # 2026-11-03T09:00 to 09:05
        assert f"{archive.root}/{path}".rpartition("/")[0] == folder


def test_the_archive_becomes_cheaper_and_queries_are_bounded(plan: Plan) -> None:
    """Files move to cheaper classes that Athena can read; dead letters expire; queries scan at most the limit."""
    buckets = plan.of("aws_s3_bucket_lifecycle_configuration")
    rules = {rule["id"]: rule for rule in buckets["module.lake[0].lake"]["rule"]}
    for name in DATASETS:
        moves = {one["days"]: one["storage_class"] for one in rules[name]["transition"]}
        assert moves == {30: "STANDARD_IA", 90: "GLACIER_IR"}
        assert not rules[name]["expiration"]
    assert rules["dead-letters"]["expiration"][0]["days"] == 365
    assert [rules[name]["expiration"][0]["days"] for name in ("raw", "raw-errors")] == [90, 90]
    configuration = plan.one("aws_athena_workgroup")["configuration"][0]
    assert configuration["enforce_workgroup_configuration"]
    assert configuration["bytes_scanned_cutoff_per_query"] == 100 * 1024**3
    encryption = configuration["result_configuration"][0]["encryption_configuration"]
    assert encryption[0]["encryption_option"] == "SSE_KMS"
    for query in plan.of("aws_athena_named_query").values():
        assert re.search(r"year = \d+ AND month = \d+ AND day = \d+", query["query"]), "it would scan everything"


def test_raw_records_are_lines(plan: Plan) -> None:
    """Firehose puts a newline behind each record."""
    (configuration,) = plan.one("aws_kinesis_firehose_delivery_stream")["extended_s3_configuration"]
    (processor,) = configuration["processing_configuration"][0]["processors"]
    assert processor["type"] == "AppendDelimiterToRecord"
    assert [one["parameter_value"] for one in processor["parameters"]] == ["\\n"]
