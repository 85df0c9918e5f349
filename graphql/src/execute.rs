//! From the parameters of an operation to its answer, the same for every transport.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response, ServerError, Variables};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use serde_json::Value;
use spoor_api::service::Services;
use tokio::sync::Semaphore;

use crate::budget::{Budget, Budgets};
use crate::document::{self, Document};
use crate::error::{Code, coded, finish, is_request_error};
use crate::http::body::BodyBudget;
use crate::options::ServerOptions;
use crate::schema::operation::{Lanes, Operation};
use crate::schema::scalars::EpochToken;
use crate::schema::{self, Schema};
use crate::subscribers::{Seat, Subscribers};

/// Executes operations against the services.
pub struct Engine {
    schema: Schema,
    services: Services,
    options: ServerOptions,
    lanes: Lanes,
    answers: Arc<Budgets>,
    sockets: Arc<Semaphore>,
    subscribers: Arc<Subscribers>,
    pushes: Semaphore,
    bodies: BodyBudget,
    ids: RequestIds,
}

/// What a client asks for, checked for its types only.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// Query text.
    pub query: String,
    /// Which operation of it.
    pub operation_name: Option<String>,
    /// Values of its variables.
    pub variables: Variables,
    /// Every field is read at this epoch or a later one: `extensions.atLeastEpoch`, unchecked.
    pub at_least_epoch: Option<Value>,
}

/// An operation that may be executed.
pub struct Prepared {
    request: Request,
    /// Query, mutation or subscription.
    pub kind: OperationType,
    budget: Arc<Budget>,
}

impl Prepared {
    /// The memory charged for its answer; hold it until the answer is written.
    #[must_use]
    pub fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }
}

impl Params {
    /// Reads the parameters of a request body, or of a `subscribe` message.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn from_json(value: Value) -> Result<Self, String> {
        let Value::Object(mut fields) = value else {
            return Err("the request is a JSON object with a `query`".into());
        };
        let query = match fields.remove("query") {
            Some(Value::String(query)) => query,
            Some(_) => return Err("`query` is a string".into()),
            None => return Err("`query` is missing".into()),
        };
        let operation_name = match fields.remove("operationName") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err("`operationName` is a string or null".into()),
        };
        let variables = match fields.remove("variables") {
            None | Some(Value::Null) => Variables::default(),
            Some(variables @ Value::Object(_)) => Variables::from_json(variables),
            Some(_) => return Err("`variables` is an object or null".into()),
        };
        let at_least_epoch = match fields.remove("extensions") {
            None | Some(Value::Null) => None,
            Some(Value::Object(mut extensions)) => extensions.remove("atLeastEpoch"),
            Some(_) => return Err("`extensions` is an object or null".into()),
        };
        Ok(Self { query, operation_name, variables, at_least_epoch })
    }
}

/// The `epochToken` of `extensions.atLeastEpoch`.
fn at_least_epoch(given: Option<Value>) -> Result<Option<EpochToken>, ServerError> {
    let token = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let text = "`extensions.atLeastEpoch` is not an `epochToken` as the server gave it";
    let token = token.ok_or_else(|| coded(Code::BadUserInput, text))?;
    Ok(Some(EpochToken(token)))
}

impl Engine {
    /// An engine over the services.
    #[must_use]
    pub fn new(services: Services, options: ServerOptions) -> Self {
        Self {
            schema: schema::build(&options),
            services,
            lanes: Lanes::new(options.operation.reads_max, options.operation.heavy_reads_max),
            answers: Budgets::new(
                options.operation.answer_bytes_max,
                options.operation.answers_bytes_max,
            ),
            sockets: Arc::new(Semaphore::new(options.socket.sockets_max)),
            subscribers: Subscribers::new(options.subscribers.clone()),
            pushes: Semaphore::new(options.pushes_max),
            bodies: BodyBudget::new(options.bodies.bytes_in_flight_max),
            ids: RequestIds::new(),
            options,
        }
    }

    /// What the server allows.
    #[must_use]
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// The services.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// One permit for each open socket or event stream.
    #[must_use]
    pub fn sockets(&self) -> &Arc<Semaphore> {
        &self.sockets
    }

    /// What bounds subscriptions, and what is held for slow clients.
    #[must_use]
    pub fn subscribers(&self) -> &Arc<Subscribers> {
        &self.subscribers
    }

    /// What the bodies of all requests may hold.
    #[must_use]
    pub fn bodies(&self) -> &BodyBudget {
        &self.bodies
    }

    /// One permit for each push that is worked on; its body is there.
    #[must_use]
    pub fn pushes(&self) -> &Semaphore {
        &self.pushes
    }

    /// An id for a request, under which it is logged.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.ids.next()
    }

    /// Parses and bounds an operation.
    ///
    /// # Errors
    /// The response that refuses it.
    pub fn prepare(&self, params: Params) -> Result<Prepared, Box<Response>> {
        let Params { query, operation_name, variables, at_least_epoch: at_least } = params;
        let limits = &self.options.operation;
        let document = document::prepare(&query, operation_name.as_deref(), &variables, limits);
        let Document { parsed, kind } = document.map_err(refuse)?;
        let at_least = at_least_epoch(at_least).map_err(refuse)?;
        let operation = Operation::new(self.services.clone(), self.lanes.clone(), at_least);
        let budget = self.answers.begin();
        let request = Request::new(query).variables(variables);
        let mut request = request.data(operation).data(Arc::clone(&budget));
        request = request.data(Arc::clone(&self.subscribers));
        request.operation_name = operation_name;
        request.set_parsed_query(parsed);
        Ok(Prepared { request, kind, budget })
    }

    /// Executes a query or mutation.
    pub async fn execute(&self, prepared: Prepared, request_id: &str) -> Response {
        let timeout = self.options.operation.timeout;
        let execution = async {
            tokio::select! {
                response = self.schema.execute(prepared.request) => response,
                spent = prepared.budget.spent() => Response::from_errors(vec![spent]),
            }
        };
        let done = tokio::time::timeout(timeout, execution).await;
        let mut response = done.unwrap_or_else(|_| {
            let text = format!("the operation took longer than {} s", timeout.as_secs());
            Response::from_errors(vec![coded(Code::Timeout, text)])
        });
        finish(&mut response, request_id);
        response
    }

    /// Executes a subscription of a connection. The stream makes an event only when it is polled.
    /// Once an event is serialized, the caller counts that text and resets the budget.
    #[must_use]
    pub fn subscribe(
        &self,
        prepared: Prepared,
        request_id: String,
        seat: &Arc<Seat>,
    ) -> BoxStream<'static, Response> {
        let subscribed = match seat.subscribe() {
            Ok(subscribed) => subscribed,
            Err(too_many) => {
                let refused = coded(Code::ResourceExhausted, too_many.to_string());
                return stream::iter([Response::from_errors(vec![refused])]).boxed();
            }
        };
        let Prepared { request, budget, .. } = prepared;
        let state = Some((self.schema.execute_stream(request), budget, subscribed));
        let bounded = stream::unfold(state, |state| async {
            let (mut stream, budget, subscribed) = state?;
            budget.reset();
            tokio::select! {
                response = stream.next() => {
                    response.map(|response| (response, Some((stream, budget, subscribed))))
                }
                spent = budget.spent() => Some((Response::from_errors(vec![spent]), None)),
            }
        });
        let finished = bounded.map(move |mut response| {
            finish(&mut response, &request_id);
            response
        });
        finished.boxed()
    }
}

fn refuse(error: ServerError) -> Box<Response> {
    Box::new(Response::from_errors(vec![error]))
}

/// The JSON of a response: errors first, and no `data` when it was never executed.
#[must_use]
pub fn to_json(response: &Response) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        errors: &'a [ServerError],
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a async_graphql::Value>,
    }
    let data = (!is_request_error(response)).then_some(&response.data);
    let body = Body { errors: &response.errors, data };
    serde_json::to_string(&body).expect("a response has text keys only")
}

/// Ids that are unique in a process and unlikely to repeat in another.
struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        let process = RandomState::new().hash_one(std::process::id()) as u32;
        Self { process, next: AtomicU64::new(1) }
    }

    fn next(&self) -> String {
        format!("{:08x}-{:x}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
