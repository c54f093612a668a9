//! The document tells the truth: each of its paths is there and answers as its schema says, and no
//! path answers that it does not know.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::broker;
use crate::support::packets::Hello;
use crate::support::raw_client::RawClient;
use crate::support::visitor::Visitor;

fn document(visitor: &Visitor) -> Value {
    visitor.json("/api/v1/openapi.json")
}

/// A schema of the document that stands on its own.
fn validator(document: &Value, schema: &Value) -> Validator {
    let schema = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::validator_for(&schema).unwrap()
}

#[track_caller]
fn check(document: &Value, schema: &Value, answer: &Value, what: &str) {
    let validator = validator(document, schema);
    let faults: Vec<String> = validator
        .iter_errors(answer)
        .map(|e| e.to_string())
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?} {answer:#}");
}

/// What has to be said for an operation to succeed.
const WANTED: &[(&str, &str, &str)] = &[
    ("client", "/api/v1/clients/somebody", ""),
    ("kick", "/api/v1/clients/victim?session=true", ""),
    ("clearRetained", "/api/v1/retained?filter=gone", ""),
    ("retainedMessage", "/api/v1/retained/message?topic=kept", ""),
    ("subscribe", "/api/v1/subscribe?filter=a", ""),
    (
        "publish",
        "/api/v1/publish",
        r#"{"topic":"a","payload":"x"}"#,
    ),
];

#[test]
fn every_path_of_the_document_answers_as_it_says() {
    let (broker, visitor) = broker(&[]);
    let _somebody = RawClient::subscriber(broker.port, &Hello::new("somebody"), "a/#", 1);
    let _victim = RawClient::connect(broker.port, &Hello::new("victim"));
    let kept = visitor.post(
        "/api/v1/publish",
        r#"{"topic":"kept","payload":"x","retain":true}"#,
    );
    assert_eq!(kept.status, 200);
    let document = document(&visitor);
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method == "parameters" {
                continue;
            }
            count += 1;
            let id = operation["operationId"].as_str().unwrap();
            let wanted = WANTED.iter().find(|(known, ..)| *known == id);
            let (path, body) = wanted.map_or((path.as_str(), ""), |(_, path, body)| (path, body));
            let content = &operation["responses"]["200"]["content"];
            if content.get("text/event-stream").is_some() {
                visitor.events(path);
                continue;
            }
            let answer = match method.as_str() {
                "post" => visitor.post(path, body),
                "delete" => visitor.delete(path),
                _ => visitor.get(path),
            };
            assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
            let kind = answer.header("content-type").unwrap();
            assert!(content.get(kind).is_some(), "{path}: {kind}");
            if let Some(schema) = content["application/json"].get("schema") {
                check(&document, schema, &answer.json(), path);
            }
        }
    }
    assert!(count >= 22, "{count}");
}

#[test]
fn every_fault_is_as_the_document_says() {
    let (_broker, visitor) = broker(&[]);
    let document = document(&visitor);
    let schema = &document["components"]["schemas"]["Error"];
    for path in [
        "/api/v1/clients?limit=0",
        "/api/v1/clients/nobody",
        "/api/v1/retained?filter=%23/a",
        "/api/v1/log?after=x",
        "/nothing",
    ] {
        check(&document, schema, &visitor.get(path).json(), path);
    }
    let events = visitor.events("/api/v1/events").next("sample");
    let mut sample = document["components"]["schemas"]["Sample"].clone();
    sample["properties"]["lost"] = json!({ "type": "integer" });
    check(&document, &sample, &events, "events");
}

#[test]
fn every_parameter_of_the_document_is_known_and_no_other() {
    let (_broker, visitor) = broker(&[]);
    let document = document(&visitor);
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get").filter(|_| !path.contains('{')) else {
            continue;
        };
        if operation["responses"]["200"]["content"]
            .get("application/json")
            .is_none()
        {
            continue;
        }
        let names = operation["parameters"].as_array().into_iter().flatten();
        for name in names.map(|parameter| parameter["name"].as_str().unwrap()) {
            // Twice is once too often, so the name is looked at.
            let answer = visitor.get(&format!("{path}?{name}=1&{name}=1"));
            let said = answer.json()["error"]["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(!said.contains("is no parameter"), "{path} {name}: {said}");
        }
    }
}
