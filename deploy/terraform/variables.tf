variable "image" {
  description = "The image: Balm with balm.toml, guardrails and plugins in /etc/balm."
  type        = string
}

variable "cluster" {
  description = "The ECS cluster that the host itself runs in. Not one that it may act on."
  type        = string
}

variable "vpc" {
  description = "The VPC."
  type        = string
}

variable "subnets" {
  description = "Private subnets with a way to AWS's endpoints, one for each availability zone."
  type        = list(string)
}

variable "grafana_security_group" {
  description = "The security group of Grafana: nobody else may send alerts."
  type        = string
}

variable "token_secret" {
  description = "The ARN of the secret with the token of the source `grafana`."
  type        = string
}
