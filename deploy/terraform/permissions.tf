# Written by `balm iam --format terraform`; this one is for a policy that scales the service `web` of the cluster `prod`.

data "aws_iam_policy_document" "balm_123456789012" {
  statement {
    actions = [
      "ecs:DescribeServices",
      "ecs:UpdateService",
    ]
    resources = [
      "arn:aws:ecs:eu-central-1:123456789012:service/prod/web",
    ]
  }
}
