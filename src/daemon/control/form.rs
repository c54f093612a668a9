//! The form of commands to a `$CONTROL` topic and of their answers, which is dynamic security's:
//! `{"commands": [{"command": …, "correlationData": …}]}` in, `{"responses": […]}` out. What each
//! command does is left to those who call.

use serde_json::{Value, json};

/// What is answered to a command: data, or the reason why not.
pub(crate) type Reply = Result<Value, String>;

/// Has the commands of a message carried out one after another, and puts their answers together.
/// Beyond `most` commands, or `size_max` bytes of answers, the rest is not looked at.
pub(crate) fn answer(
    payload: &[u8],
    most: usize,
    size_max: usize,
    mut obey: impl FnMut(&str, &Value) -> Reply,
) -> String {
    let whole = serde_json::from_slice::<Value>(payload);
    let commands = match &whole {
        Err(_) => Err("Payload not valid JSON"),
        Ok(whole) => whole
            .get("commands")
            .and_then(Value::as_array)
            .ok_or("Invalid/missing commands"),
    };
    let mut responses = Vec::new();
    match commands {
        Err(what) => responses.push(fault(what)),
        Ok(commands) => {
            let mut size = 0;
            for json in commands.iter().take(most) {
                let response = response(json, &mut obey);
                size += response.to_string().len();
                responses.push(response);
                if size > size_max {
                    break;
                }
            }
        }
    }
    json!({ "responses": responses }).to_string()
}

fn response(json: &Value, obey: &mut impl FnMut(&str, &Value) -> Reply) -> Value {
    if !json.is_object() {
        return fault("Command not an object");
    }
    let Some(name) = json.get("command").and_then(Value::as_str) else {
        return fault("Missing command");
    };
    let mut response = json!({ "command": name });
    match obey(name, json) {
        Ok(Value::Null) => {}
        Ok(data) => response["data"] = data,
        Err(error) => response["error"] = json!(error),
    }
    if let Some(correlation) = json.get("correlationData").and_then(Value::as_str) {
        response["correlationData"] = json!(correlation);
    }
    response
}

fn fault(what: &str) -> Value {
    json!({ "command": "Unknown command", "error": what })
}
