//! A prompt as the string value of a flag, asked for at a server on the same machine over gRPC, as the providers of
//! flagd do (`flagd.evaluation.v1.Service/ResolveString`). Messages are written by hand after its protocol.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use prost::Message;
use tokio::runtime::Runtime;
use tonic::client::Grpc as GrpcClient;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{self};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{FAR, VALUES, beside, compile};
use crate::report::Figure;

const PATH: &str = "/flagd.evaluation.v1.Service/ResolveString";

#[derive(Clone, PartialEq, Message)]
struct ResolveStringRequest {
    #[prost(string, tag = "1")]
    flag_key: String,
    #[prost(message, optional, tag = "2")]
    context: Option<Struct>,
}

#[derive(Clone, PartialEq, Message)]
struct ResolveStringResponse {
    #[prost(string, tag = "1")]
    value: String,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(string, tag = "3")]
    variant: String,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
struct Struct {
    #[prost(map = "string, message", tag = "1")]
    fields: HashMap<String, Value>,
}

/// `google.protobuf.Value`, as far as it is text.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "3")]
    string_value: String,
}

fn evaluate(
    flags: &HashMap<String, String>,
    asked: &ResolveStringRequest,
) -> Result<Response<ResolveStringResponse>, Status> {
    let value = flags.get(&asked.flag_key).ok_or_else(|| Status::not_found("no such flag"))?;
    let (reason, variant) = ("STATIC".into(), "on".into());
    Ok(Response::new(ResolveStringResponse { value: value.clone(), reason, variant }))
}

async fn serve(texts: &[(String, String)]) -> Result<Channel> {
    let flags: Arc<HashMap<String, String>> = Arc::new(texts.iter().cloned().collect());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("the peer's port")?;
    let address = listener.local_addr()?;
    drop(listener);
    let service = service_fn(move |request: http::Request<tonic::body::Body>| {
        let flags = flags.clone();
        async move {
            let evaluate = service_fn(move |asked: Request<ResolveStringRequest>| {
                let flags = flags.clone();
                async move { evaluate(&flags, asked.get_ref()) }
            });
            let codec = ProstCodec::<ResolveStringResponse, ResolveStringRequest>::default();
            Ok::<_, Infallible>(tonic::server::Grpc::new(codec).unary(evaluate, request).await)
        }
    });
    tokio::spawn(Server::builder().tcp_nodelay(true).serve(address, service));
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    let connect = async || endpoint.connect().await.ok();
    Ok(tests::until::until("the peer answers", super::PATIENCE, connect).await)
}

async fn ask(client: &mut GrpcClient<Channel>, flag: &str) -> Result<String> {
    let fields = VALUES.map(|(name, value)| (name.to_owned(), Value { string_value: value.into() }));
    let asked =
        ResolveStringRequest { flag_key: flag.into(), context: Some(Struct { fields: fields.into() }) };
    client.ready().await.context("the peer")?;
    let codec = ProstCodec::<ResolveStringRequest, ResolveStringResponse>::default();
    let answer = client.unary(Request::new(asked), PathAndQuery::from_static(PATH), codec).await?;
    Ok(compile(&answer.into_inner().value))
}

pub(super) fn run(
    runtime: &Runtime,
    texts: &[(String, String)],
    ours: &mut impl FnMut() -> bool,
) -> Result<Vec<Figure>> {
    let mut client = GrpcClient::new(runtime.block_on(serve(texts))?);
    let mut next = 0;
    beside("a flag's value over local gRPC", FAR * 5, ours, || {
        next = (next + 37) % texts.len();
        let text = runtime.block_on(ask(&mut client, &texts[next].0));
        text.is_ok_and(|text| text.contains(VALUES[0].1))
    })
}
