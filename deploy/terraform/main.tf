# A host on ECS Fargate: one task, its journal on EFS, its token from Secrets Manager. See docs/how-to/fargate.md.
#
# `permissions.tf` is what `balm iam --format terraform` prints; `local.permissions` below names its documents.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

data "aws_region" "current" {}

locals {
  name = "balm"
  # The user of the image.
  uid = 65532
  # The policy document of the account that this host acts in; with a role for each account it is that of `host`.
  permissions = data.aws_iam_policy_document.balm_123456789012.json
}

# The journal.

resource "aws_efs_file_system" "data" {
  encrypted = true

  tags = { Name = local.name }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_efs_mount_target" "data" {
  for_each = toset(var.subnets)

  file_system_id  = aws_efs_file_system.data.id
  subnet_id       = each.value
  security_groups = [aws_security_group.data.id]
}

resource "aws_efs_access_point" "data" {
  file_system_id = aws_efs_file_system.data.id

  posix_user {
    uid = local.uid
    gid = local.uid
  }

  root_directory {
    path = "/balm"

    creation_info {
      owner_uid   = local.uid
      owner_gid   = local.uid
      permissions = "0700"
    }
  }
}

# Who reaches what: Grafana the host, the host its disk and AWS.

resource "aws_security_group" "host" {
  name_prefix = "${local.name}-host-"
  vpc_id      = var.vpc
}

resource "aws_vpc_security_group_ingress_rule" "alerts" {
  security_group_id            = aws_security_group.host.id
  description                  = "alerts from Grafana"
  referenced_security_group_id = var.grafana_security_group
  ip_protocol                  = "tcp"
  from_port                    = 8300
  to_port                      = 8300
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.host.id
  description       = "AWS and receivers of notices"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "data" {
  security_group_id            = aws_security_group.host.id
  description                  = "the journal"
  referenced_security_group_id = aws_security_group.data.id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_security_group" "data" {
  name_prefix = "${local.name}-data-"
  vpc_id      = var.vpc
}

resource "aws_vpc_security_group_ingress_rule" "data" {
  security_group_id            = aws_security_group.data.id
  description                  = "the host alone"
  referenced_security_group_id = aws_security_group.host.id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

# As whom it acts, and as whom it is started.

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "host" {
  name_prefix        = "${local.name}-host-"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy" "host" {
  name   = "remediation"
  role   = aws_iam_role.host.id
  policy = local.permissions
}

data "aws_iam_policy_document" "start" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.token_secret]
  }
}

resource "aws_iam_role" "start" {
  name_prefix        = "${local.name}-start-"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy" "start" {
  name   = "token"
  role   = aws_iam_role.start.id
  policy = data.aws_iam_policy_document.start.json
}

resource "aws_iam_role_policy_attachment" "start" {
  role       = aws_iam_role.start.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

# The host.

resource "aws_cloudwatch_log_group" "host" {
  name              = "/${local.name}"
  retention_in_days = 90
}

resource "aws_ecs_task_definition" "host" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  task_role_arn            = aws_iam_role.host.arn
  execution_role_arn       = aws_iam_role.start.arn

  volume {
    name = "data"

    efs_volume_configuration {
      file_system_id     = aws_efs_file_system.data.id
      transit_encryption = "ENABLED"

      authorization_config {
        access_point_id = aws_efs_access_point.data.id
      }
    }
  }

  container_definitions = jsonencode([{
    name                   = local.name
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    # Longer than requests and calls under way may take to end in order.
    stopTimeout  = 90
    portMappings = [{ containerPort = 8300 }]
    mountPoints  = [{ sourceVolume = "data", containerPath = "/var/lib/balm", readOnly = false }]
    secrets      = [{ name = "BALM_TOKEN", valueFrom = var.token_secret }]

    healthCheck = {
      command     = ["CMD", "/usr/local/bin/balm", "status"]
      startPeriod = 30
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.host.name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = local.name
      }
    }
  }])
}

resource "aws_ecs_service" "host" {
  name            = local.name
  cluster         = var.cluster
  launch_type     = "FARGATE"
  task_definition = aws_ecs_task_definition.host.arn

  # One host on a journal, never two: the old one ends before the new one starts.
  desired_count                      = 1
  deployment_maximum_percent         = 100
  deployment_minimum_healthy_percent = 0

  network_configuration {
    subnets         = var.subnets
    security_groups = [aws_security_group.host.id]
  }

  depends_on = [aws_efs_mount_target.data]
}
