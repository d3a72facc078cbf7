//! Auto Scaling over a real socket, and the controls of groups.

use serde_json::{Value, json};

use crate::{ACCOUNT, Endpoint, client::Client};

/// An endpoint with a group `fleet` of four instances, and a client of it.
async fn endpoint() -> (Endpoint, Client) {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client().await;
    let tags = json!({ "team": "a<b" });
    let step = json!({ "do": "create-group", "group": "fleet", "desired": 4, "min": 2, "max": 8, "tags": tags });
    let created = client.control("POST", "scenario", &step).await;
    assert_eq!(created.status, 200, "{}", created.body);
    (endpoint, client)
}

async fn groups(client: &mut Client) -> Value {
    client.control("GET", "groups", &Value::Null).await.json()["groups"].clone()
}

#[tokio::test]
async fn a_group_is_described_on_the_wire_of_aws() {
    let (_endpoint, mut client) = endpoint().await;
    let form = "Action=DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=fleet";
    let response = client.asg(form).await.expect("an answer");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/xml")));
    assert_eq!(response.header("x-amzn-requestid").map(str::len), Some(36));
    let namespace = "<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">";
    assert!(response.body.starts_with(namespace), "{}", response.body);
    for part in [
        "<MinSize>2</MinSize><MaxSize>8</MaxSize><DesiredCapacity>4</DesiredCapacity>",
        "<LifecycleState>InService</LifecycleState><HealthStatus>Healthy</HealthStatus>",
        "<Key>team</Key><Value>a&lt;b</Value>",
        "<CreatedTime>2023-11-14T22:12:2",
    ] {
        assert!(response.body.contains(part), "{part} in {}", response.body);
    }
    assert_eq!(response.body.matches("<InstanceId>").count(), 4);
}

#[tokio::test]
async fn a_change_is_applied_and_stands_in_the_log_with_its_caller() {
    let (endpoint, mut client) = endpoint().await;
    let set = "Action=SetDesiredCapacity&AutoScalingGroupName=fleet&DesiredCapacity=6&HonorCooldown=true";
    assert_eq!(client.asg(set).await.expect("an answer").status, 200);
    assert_eq!(groups(&mut client).await[0]["group"]["DesiredCapacity"], 6);
    let id = groups(&mut client).await[0]["group"]["Instances"][0]["InstanceId"].as_str().expect("an id").to_owned();
    let terminate = "Action=TerminateInstanceInAutoScalingGroup&ShouldDecrementDesiredCapacity=false&InstanceId=";
    let response = client.asg(&format!("{terminate}{id}")).await.expect("an answer");
    assert!(response.body.contains("<StatusCode>InProgress</StatusCode>"), "{}", response.body);
    let refresh = "Action=StartInstanceRefresh&AutoScalingGroupName=fleet&Preferences.MinHealthyPercentage=50";
    let response = client.asg(refresh).await.expect("an answer");
    assert!(response.body.contains("<StartInstanceRefreshResult><InstanceRefreshId>"), "{}", response.body);
    let response = client.asg("Action=DescribeInstanceRefreshes&AutoScalingGroupName=fleet").await.expect("an answer");
    assert!(response.body.contains("<Status>InProgress</Status><StartTime>2023-11-14T"), "{}", response.body);
    let entry = endpoint.handle.with(|cloud, _| cloud.log().get(1).cloned()).expect("logged");
    assert_eq!((entry.request.account.as_str(), entry.request.caller.as_str()), (ACCOUNT, "balm"));
    let tally = client.control("GET", "tally", &Value::Null).await.json();
    assert_eq!(tally["by-caller"], json!({ "balm": 3 }));
    assert!(tally["by-service"].as_array().is_some_and(|rows| rows.iter().all(|row| row["group"] == "fleet")));
}

#[tokio::test]
async fn errors_have_the_shape_that_sdks_read() {
    let (_endpoint, mut client) = endpoint().await;
    let mut refused = async |form: &str| {
        let response = client.asg(form).await.expect("an answer");
        let code = response.body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        (response.status, code.map(|(code, _)| code.to_owned()).unwrap_or_default())
    };
    let cases = [
        ("Action=SetDesiredCapacity&AutoScalingGroupName=fleet&DesiredCapacity=9", "ValidationError"),
        ("Action=SetDesiredCapacity&AutoScalingGroupName=other&DesiredCapacity=4", "ValidationError"),
        ("Action=SetDesiredCapacity&AutoScalingGroupName=fleet&DesiredCapacity=x", "ValidationError"),
        ("Action=SetDesiredCapacity&AutoScalingGroupName=fleet", "ValidationError"),
        ("Action=DeleteAutoScalingGroup&AutoScalingGroupName=fleet", "InvalidAction"),
        ("Action=%", "MalformedQueryString"),
    ];
    for (form, code) in cases {
        assert_eq!(refused(form).await, (400, code.to_owned()), "{form}");
    }
    let refresh = "Action=StartInstanceRefresh&AutoScalingGroupName=fleet";
    assert_eq!(refused(refresh).await, (200, String::new()));
    assert_eq!(refused(refresh).await, (400, "InstanceRefreshInProgress".to_owned()));
}

#[tokio::test]
async fn lies_look_like_those_of_aws_and_its_proxies() {
    let (endpoint, _) = endpoint().await;
    let set = "Action=SetDesiredCapacity&AutoScalingGroupName=fleet&DesiredCapacity=6";
    let kinds = [
        (json!({ "kind": "throttled" }), 400, "<Code>Throttling</Code>"),
        (json!({ "kind": "access-denied" }), 403, "perform: autoscaling:SetDesiredCapacity because"),
        (json!({ "kind": "server-error", "when": "before" }), 500, "<Type>Receiver</Type><Code>InternalFailure</Code>"),
        (json!({ "kind": "html-page", "status": 502, "when": "before" }), 502, "<html>"),
    ];
    for (fault, status, part) in kinds {
        let response = endpoint.client_under(fault).await.asg(set).await.expect("an answer");
        assert_eq!(response.status, status);
        assert!(response.body.contains(part), "{part} in {}", response.body);
    }
    let mut client = endpoint.client().await;
    assert_eq!(groups(&mut client).await[0]["group"]["DesiredCapacity"], 4);
    assert!(endpoint.client_under(json!({ "kind": "closed", "when": "after" })).await.asg(set).await.is_none());
    assert_eq!(groups(&mut client).await[0]["group"]["DesiredCapacity"], 6);
}

#[tokio::test]
async fn a_groups_scenario_is_played_by_the_controls() {
    let (_endpoint, mut client) = endpoint().await;
    let fleet = json!({ "group": "fleet" });
    let steps = [
        json!({ "do": "set-capacity", "group": fleet, "desired": 5 }),
        json!({ "do": "set-instance-health", "group": fleet, "healthy": false }),
        json!({ "do": "set-protection", "group": fleet, "protected": true }),
        json!({ "do": "set-launching", "group": fleet, "launching": "never" }),
        json!({ "do": "suspend", "group": fleet, "processes": ["Launch"] }),
        json!({ "do": "refresh", "group": fleet }),
    ];
    for step in steps {
        let played = client.control("POST", "scenario", &step).await;
        assert_eq!(played.status, 200, "{step} {}", played.body);
    }
    let sight = groups(&mut client).await[0].clone();
    assert_eq!(
        (&sight["group"]["DesiredCapacity"], &sight["refreshes"][0]["Status"]),
        (&5.into(), &"InProgress".into())
    );
    assert_eq!(sight["group"]["SuspendedProcesses"], json!(["Launch"]));
    let first = &sight["group"]["Instances"][0];
    assert_eq!((&first["HealthStatus"], &first["ProtectedFromScaleIn"]), (&"Unhealthy".into(), &true.into()));
    for wrong in [
        json!({ "do": "set-capacity", "group": fleet, "desired": 99 }),
        json!({ "do": "refresh", "group": { "group": "other" } }),
        json!({ "do": "refresh", "group": fleet, "more": 1 }),
        json!({ "do": "create-group", "group": "fleet", "desired": 1, "max": 1 }),
    ] {
        assert_eq!(client.control("POST", "scenario", &wrong).await.status, 400, "{wrong}");
    }
}
