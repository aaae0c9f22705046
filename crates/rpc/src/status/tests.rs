use model::{Error, ErrorCode, Errors};
use serde_json::json;
use tonic::{Code, Status};

use super::{errors, status};

/// As a caller gets it: through headers.
fn over_the_wire(status: &Status) -> Status {
    let response = status.clone().into_http::<()>();
    Status::from_header_map(response.headers()).unwrap()
}

#[test]
fn every_code_comes_back_as_it_was() {
    for code in ErrorCode::ALL {
        let sent = Errors::from(Error::new(*code));
        let status = over_the_wire(&status(sent.clone()));
        assert_eq!(i32::from(status.code()), code.grpc());
        assert_eq!(errors(status), sent);
    }
}

#[test]
fn everything_about_errors_comes_back() {
    let mut busy =
        Error::new(ErrorCode::RequestsExceeded).with("limit", 50).with("reset", json!({ "a": [1, null] }));
    busy.retry_after = Some(7);
    let sent = Errors(vec![
        Error::failed_validation("title", "required"),
        Error::invalid_payload("\u{201e}B\u{fc}cher\u{201c} \u{1f600}\nis not\ta number").with("value", 1.5),
        busy,
        Error::unavailable("items"),
    ]);
    assert_eq!(errors(over_the_wire(&status(sent.clone()))), sent);
}

#[test]
fn details_alone_tell_code_and_facts() {
    let sent = status(Error::forbidden_collection("articles").into());
    let bare = Status::with_details(sent.code(), sent.message(), sent.details().to_vec().into());
    let Errors(got) = errors(over_the_wire(&bare));
    assert_eq!(got, [Error::forbidden_collection("articles")]);
}

#[test]
fn too_many_errors_are_cut_from_the_end_and_a_giant_is_shortened() {
    let many: Vec<Error> =
        (0..500).map(|field| Error::failed_validation(&format!("field_{field}"), "required")).collect();
    let sent = status(Errors(many.clone()));
    let Errors(got) = errors(over_the_wire(&sent));
    assert!(got.len() > 5 && many.starts_with(&got), "{}", got.len());
    let headers = sent.into_http::<()>();
    let bytes: usize = headers.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(bytes < 8 * 1024, "{bytes}");

    let giant = Error::invalid_payload("\u{e9}".repeat(100_000)).with("small", true);
    let Errors(got) = errors(over_the_wire(&status(giant.into())));
    assert_eq!((got.len(), got[0].code), (1, ErrorCode::InvalidPayload));
    assert_eq!(got[0].extensions.get("small"), Some(&json!(true)));
    assert!(got[0].message.len() <= 512);
}

#[test]
fn a_peer_that_is_away_is_503_and_what_nobody_named_is_500() {
    for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled] {
        let Errors(got) = errors(Status::new(code, "tcp connect error"));
        assert_eq!((got[0].code, got[0].retry_after), (ErrorCode::ServiceUnavailable, Some(1)));
        assert!(!got[0].message.contains("tcp"));
    }
    for code in [Code::Unknown, Code::Internal, Code::Unimplemented, Code::PermissionDenied] {
        let Errors(got) = errors(Status::new(code, "secret detail"));
        assert_eq!(got, [Error::internal()]);
    }
    assert_eq!(errors(status(Errors(Vec::new()))), Errors::from(Error::internal()));
}
