//! The roads that lead to items: each takes a question and gives what comes of it. A new road is a line in `ROADS` and one in
//! `ask`.

use http::Method;
use proto::items::v1::items_service_client::ItemsServiceClient;
use proto::items::v1::{ReadItemRequest, ReadItemsRequest, ReadReportRequest, StreamItemsRequest};
use query::{Query, Report};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::api::{Answer, Api};

/// A road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    List,
    One,
    Search,
    /// `limit=-1`: item by item.
    Streamed,
    Csv,
    Json,
    /// `as_of`.
    Past,
    PastOne,
    PastCsv,
    /// A page behind a cursor.
    Cursor,
    Version,
    Tree,
    Window,
    /// By the guest of a share.
    Guest,
    GuestOne,
    /// By an API key that only reads.
    Key,
    /// `PATCH` of those that fit.
    Change,
    /// `DELETE` of those that fit.
    Delete,
    GrpcList,
    GrpcOne,
    GrpcStream,
    GrpcReport,
}

use Road::{
    Change, Csv, Cursor, Delete, GrpcList, GrpcOne, GrpcReport, GrpcStream, Guest, GuestOne, Json, Key, List,
    One, Past, PastCsv, PastOne, Search, Streamed, Tree, Version, Window,
};

/// All of them, and how many of the questions that name a field they take.
pub const ROADS: [(Road, usize); 22] = [
    (List, 54),
    (One, 54),
    (Search, 54),
    (Streamed, 54),
    (Csv, 54),
    (Json, 54),
    (Past, 54),
    (PastOne, 54),
    (PastCsv, 54),
    (Cursor, 43),
    (Version, 54),
    (Tree, 43),
    (Window, 43),
    (Guest, 54),
    (GuestOne, 54),
    (Key, 54),
    (Change, 32),
    (Delete, 32),
    (GrpcList, 54),
    (GrpcOne, 54),
    (GrpcStream, 54),
    (GrpcReport, 43),
];

/// Who asks, and what he has to know for it.
pub struct Askers {
    pub writer: Api,
    pub guest: Api,
    pub key: Api,
    pub grpc: ItemsServiceClient<Channel>,
    /// A position of the log.
    pub moment: i64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub status: u16,
    pub text: String,
}

impl From<Answer> for Heard {
    fn from(answer: Answer) -> Self {
        Self { status: answer.status, text: answer.text }
    }
}

impl From<Status> for Heard {
    fn from(status: Status) -> Self {
        let code = match status.code() {
            Code::PermissionDenied => 403,
            Code::InvalidArgument => 400,
            code => panic!("{code:?}: {status:?}"),
        };
        Self { status: code, text: status.message().to_owned() }
    }
}

fn shown(bytes: &[u8]) -> Heard {
    Heard { status: 200, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// `name=value&..` of a question.
pub fn written(question: &Value) -> String {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let mut parts = Vec::new();
    for (name, value) in question.as_object().unwrap() {
        match value {
            Value::Object(figures) if name == "aggregate" => {
                for (figure, fields) in figures {
                    let fields = fields.as_array().unwrap().iter().map(|field| field.as_str().unwrap());
                    parts.push(format!(
                        "aggregate[{figure}]={}",
                        encoded(&fields.collect::<Vec<_>>().join(","))
                    ));
                }
            }
            Value::Array(names) => {
                let names = names.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
                parts.push(format!("{name}={}", encoded(&names.join(","))));
            }
            Value::String(text) => parts.push(format!("{name}={}", encoded(text))),
            other => parts.push(format!("{name}={}", encoded(&other.to_string()))),
        }
    }
    parts.join("&")
}

/// The question about items of which there are none: what is changed and deleted is nothing.
fn of_none(question: &Value) -> Value {
    let mut question = question.clone();
    let none = json!({"id": {"_eq": -1}});
    let filter = question["filter"].take();
    question["filter"] = if filter.is_null() { none } else { json!({"_and": [filter, none]}) };
    question
}

/// What a road looks at of a question.
pub fn heeded(road: Road, question: &Value) -> Value {
    match road {
        Change | Delete => json!([question["filter"], question["sort"]]),
        _ => question.clone(),
    }
}

impl Askers {
    /// Asks on a road.
    pub async fn ask(&self, road: Road, question: &Value) -> Heard {
        let of = written(question);
        let (list, one) = (format!("/items/articles?{of}"), format!("/items/articles/1?{of}"));
        let moment = self.moment;
        let get = async |path: String| Heard::from(self.writer.get(&path).await);
        match road {
            List => get(list).await,
            One => get(one).await,
            Streamed => get(format!("{list}&limit=-1")).await,
            Csv => get(format!("{list}&export=csv")).await,
            Json => get(format!("{list}&export=json&limit=-1")).await,
            Past => get(format!("{list}&as_of={moment}")).await,
            PastOne => get(format!("{one}&as_of={moment}")).await,
            PastCsv => get(format!("{list}&as_of={moment}&export=csv")).await,
            Cursor => get(format!("{list}&cursor=&limit=1")).await,
            Version => get(format!("{one}&version=draft")).await,
            Tree => get(format!("/reports/articles/tree?parent=whole&{of}")).await,
            Window => get(format!("/reports/articles/window?compute=rank&order=id&{of}")).await,
            Search => {
                let method = Method::from_bytes(b"SEARCH").unwrap();
                self.writer.call(method, "/items/articles", Some(json!({"query": question}))).await.into()
            }
            Guest => self.guest.get(&list).await.into(),
            GuestOne => self.guest.get(&one).await.into(),
            Key => self.key.get(&list).await.into(),
            Change => {
                let body = json!({"query": of_none(question), "data": {"title": "never"}});
                self.writer.patch("/items/articles", body).await.into()
            }
            Delete => {
                let body = json!({"query": of_none(question)});
                self.writer.delete("/items/articles", Some(body)).await.into()
            }
            GrpcList | GrpcOne | GrpcStream | GrpcReport => self.by_grpc(road, question).await,
        }
    }

    async fn by_grpc(&self, road: Road, question: &Value) -> Heard {
        let (collection, key) = ("articles".to_owned(), "1".to_owned());
        if road == GrpcReport {
            return match Report::tree(&format!("parent=whole&{}", written(question))) {
                Err(error) => Heard { status: error.code.status(), text: error.message },
                Ok(report) => self.report(collection, &report).await,
            };
        }
        let query = match Query::from_json(question) {
            Err(error) => return Heard { status: error.code.status(), text: error.message },
            Ok(query) => query.to_bytes().into(),
        };
        let mut items = self.grpc.clone();
        let read = ReadItemsRequest { collection: collection.clone(), query, ..Default::default() };
        match road {
            GrpcList => match items.read_items(by_writer(read)).await {
                Ok(found) => shown(&found.into_inner().items),
                Err(status) => status.into(),
            },
            GrpcOne => {
                let read = ReadItemRequest { collection, key, query: read.query, ..Default::default() };
                match items.read_item(by_writer(read)).await {
                    Ok(found) => shown(&found.into_inner().item),
                    Err(status) => status.into(),
                }
            }
            _ => {
                let read = StreamItemsRequest { read: Some(read), ..Default::default() };
                let mut stream = match items.stream_items(by_writer(read)).await {
                    Ok(stream) => stream.into_inner(),
                    Err(status) => return status.into(),
                };
                let mut text = String::new();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => text.push_str(&format!("{:?}", message.part)),
                        Ok(None) => return Heard { status: 200, text },
                        Err(status) => return status.into(),
                    }
                }
            }
        }
    }

    async fn report(&self, collection: String, report: &Report) -> Heard {
        let request = ReadReportRequest { collection, report: report.to_bytes().into() };
        match self.grpc.clone().read_report(by_writer(request)).await {
            Ok(found) => shown(&found.into_inner().items),
            Err(status) => status.into(),
        }
    }
}

fn by_writer<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", "Bearer writer-token".parse().unwrap());
    request
}
