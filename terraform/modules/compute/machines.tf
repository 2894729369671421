# The start of every machine (cloud-init): it installs Docker and the agent, then runs one or two containers under systemd. The
# scripts and units are in files/. Kinds of machines differ only in /etc/containers/*.conf.

data "aws_ssm_parameter" "ami" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-${var.architecture}"
}

locals {
  ami = coalesce(var.ami_id, nonsensitive(data.aws_ssm_parameter.ami.value))

  # container => settings of its unit
  containers = merge(
    {
      for role in var.deployment.users_of_settings : role => {
        aggregator = {
          IMAGE         = var.deployment.image
          COMMAND       = "serve"
          OPTIONS       = "--volume /data:/data --ulimit nofile=65536:65536"
          PREFIX        = "AGGREGATOR_"
          SETTINGS_PATH = var.deployment.settings_path[role]
          # A change of settings makes a new launch template, and so a rolling replacement.
          SETTINGS_VERSION = sha256(jsonencode([for name, value in var.role_settings[role] : [name, value] if name != "CACHE_URL"]))
        }
      }
    },
    {
      for name, port in var.deployment.exchanges : name => {
        exchange = {
          IMAGE   = var.deployment.image
          COMMAND = "-m mock_exchange --host 0.0.0.0 --name ${name} --port ${port}"
          OPTIONS = "--entrypoint python --env HEALTH_PORT=${port}"
        }
      }
    },
    var.deployment.monitored ? {
      monitoring = {
        prometheus = {
          IMAGE   = "${var.deployment.registry}/${var.deployment.name}/prometheus@${var.monitoring.prometheus_digest}"
          COMMAND = "--config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus --storage.tsdb.retention.time=15d --web.listen-address=127.0.0.1:9090"
          OPTIONS = "--user 65534 --volume /data:/prometheus --volume /etc/containers/prometheus.yml:/etc/prometheus/prometheus.yml:ro"
        }
        grafana = {
          IMAGE   = "${var.deployment.registry}/${var.deployment.name}/grafana@${var.monitoring.grafana_digest}"
          COMMAND = ""
          OPTIONS = "--add-host prometheus:127.0.0.1 --env GF_SERVER_HTTP_ADDR=127.0.0.1 --tmpfs /var/lib/grafana:uid=472"
        }
      }
    } : {},
  )
  owner_of_data = { api = 10001, refresher = 10001, processor = 10001, monitoring = 65534 } # the user inside the container

  scripts = ["settings", "image", "health", "data-disk", "drain"]
  units   = ["container@.service", "container-health@.service", "container-health@.timer", "container-drain.service"]

  files = {
    for machine, containers in local.containers : machine => concat(
      [for script in local.scripts : {
        path = "/usr/local/lib/containers/${script}", permissions = "0755", content = file("${path.module}/../../files/${script}.sh")
      }],
      [for unit in local.units : {
        path = "/etc/systemd/system/${unit}", permissions = "0644", content = file("${path.module}/../../files/${unit}")
      }],
      [for container, facts in containers : {
        path        = "/etc/containers/${container}.conf"
        permissions = "0644" # it has no secret
        content = join("", [for name, value in merge(facts, {
          REGION        = var.deployment.region
          LOG_GROUP     = var.deployment.log_groups.service
          RESCUE_BUCKET = var.deployment.rescue
        }) : "${name}=\"${value}\"\n"])
      }],
      [
        {
          path        = "/etc/containers/metrics.json" # CloudWatch agent
          permissions = "0644"
          content = templatefile("${path.module}/../../files/metrics.json.tftpl", {
            region    = var.deployment.region
            metrics   = var.deployment.log_groups.metrics
            instances = var.deployment.log_groups.instances
            namespace = var.deployment.name
            service   = contains(var.deployment.users_of_settings, machine)
            trades    = machine == "processor"
          })
        },
        {
          path        = "/etc/containers/scrape.yml" # its Prometheus half
          permissions = "0644"
          content     = templatefile("${path.module}/../../files/scrape.yml.tftpl", { group = machine, port = var.deployment.port, trades = machine == "processor" })
        },
      ],
      machine != "monitoring" ? [] : [{
        path        = "/etc/containers/prometheus.yml"
        permissions = "0644"
        content = templatefile("${path.module}/../../files/prometheus.yml.tftpl", {
          region = var.deployment.region, project = var.deployment.name, port = var.deployment.port, roles = jsonencode(concat(["api", "refresher"], var.deployment.processing_machines ? ["processor"] : []))
        })
      }],
    )
  }

  cloud_init = {
    for machine, containers in local.containers : machine => join("\n", ["#cloud-config", yamlencode({
      write_files = local.files[machine]
      runcmd = concat(
        [["dnf", "install", "--assumeyes", "--quiet", "docker", "amazon-cloudwatch-agent"]],
        contains(keys(local.owner_of_data), machine) ? [["/usr/local/lib/containers/data-disk", "/dev/sdf", tostring(local.owner_of_data[machine])]] : [],
        [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "docker.service"]],
        [for container in keys(containers) : ["systemctl", "enable", "--now", "container@${container}.service", "container-health@${container}.timer"]],
        contains(["refresher", "processor"], machine) ? [["systemctl", "enable", "--now", "container-drain.service"]] : [],
        [["/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl", "-a", "fetch-config", "-m", "ec2", "-s", "-c", "file:/etc/containers/metrics.json"]],
      )
    })])
  }
  user_data = { for machine, text in local.cloud_init : machine => base64gzip(text) }
}

# ---------------------------------------------------------------- groups of machines

locals {
  groups_of_machines = var.deployment.running ? merge(
    {
      api       = { instance_type = var.api.instance_type, disk = 4, stop = true }
      refresher = { instance_type = var.refresher.instance_type, disk = var.refresher.outbox_gb, stop = !var.keep_outbox_volumes }
    },
    var.deployment.processing_machines ? {
      processor = { instance_type = var.processors.instance_type, disk = var.processors.outbox_gb, stop = !var.keep_outbox_volumes }
    } : {},
  ) : {}
}

resource "aws_launch_template" "main" {
  #checkov:skip=CKV_AWS_341:a hop limit of 1; the check reads it wrongly
  for_each               = local.groups_of_machines
  name                   = "${var.deployment.name}-${each.key}"
  image_id               = local.ami
  instance_type          = each.value.instance_type
  user_data              = local.user_data[each.key]
  update_default_version = true
  ebs_optimized          = true

  iam_instance_profile {
    arn = var.profiles[each.key].arn
  }

  network_interfaces {
    associate_public_ip_address = false
    security_groups             = [var.group_ids[each.key]]
    delete_on_termination       = true
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required" # IMDSv2
    http_put_response_hop_limit = 1          # containers use the host's network, so no second hop is needed
    instance_metadata_tags      = "disabled"
  }

  monitoring {
    enabled = true # by the minute, for scaling
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 12
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  block_device_mappings { # /data: the outbox
    device_name = "/dev/sdf"

    ebs {
      volume_size           = each.value.disk
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = each.value.stop
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags = merge(var.deployment.tags, {
        Name        = "${var.deployment.name}-${each.key}"
        Role        = each.key
        Deployment  = var.deployment.name
        Project     = var.deployment.project
        Environment = var.deployment.environment
      })
    }
  }
}
