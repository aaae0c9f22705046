//! What people do with their accounts: second factors, passwords, invitations, registrations; and the small tools that
//! hash and make random texts.

mod form;
mod tools;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::{get, patch, post};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use model::{Error, ErrorCode};
use proto::accounts::v1 as pb;
use serde_json::json;

use super::only;
use crate::answer;
use crate::body::JsonBody;
use crate::caller::{Anyone, Caller};
use crate::failure::Failure;
use crate::path::Names;
use crate::state::Gateway;

use form::Form;

/// The routes of all of them.
pub fn routes() -> Router<Gateway> {
    Router::new()
        .route("/users/me/tfa/generate", only(post(generate), "POST"))
        .route("/users/me/tfa/enable", only(post(enable), "POST"))
        .route("/users/me/tfa/disable", only(post(disable), "POST"))
        .route("/users/{key}/tfa/disable", only(post(disable_of), "POST"))
        .route("/users/me/track/page", only(patch(track), "PATCH"))
        .route("/auth/password/request", only(post(request), "POST"))
        .route("/auth/password/reset", only(post(reset), "POST"))
        .route("/users/invite", only(post(invite), "POST"))
        .route("/shares/invite", only(post(share), "POST"))
        .route("/users/invite/accept", only(post(accept), "POST"))
        .route("/users/register", only(post(register), "POST"))
        .route("/users/register/verify-email", only(get(verify), "GET,HEAD"))
        .route("/server/setup", only(post(set_up), "POST"))
        .route("/mails", only(get(mails), "GET,HEAD"))
        .merge(tools::routes())
}

/// POST /users/me/tfa/generate
async fn generate(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    himself(&caller)?;
    let password = Form::read(&body)?.text("password")?;
    let request = gateway.call(&caller, pb::GenerateSecondFactorRequest { password });
    let made = gateway.accounts().generate_second_factor(request).await?.into_inner();
    Ok(answer::value(&json!({ "secret": made.secret, "otpauth_url": made.otpauth_url })))
}

/// POST /users/me/tfa/enable
async fn enable(State(gateway): State<Gateway>, caller: Caller, body: JsonBody) -> Result<Response, Failure> {
    himself(&caller)?;
    let form = Form::read(&body)?;
    let message = pb::EnableSecondFactorRequest { secret: form.text("secret")?, otp: form.text("otp")? };
    gateway.accounts().enable_second_factor(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// POST /users/me/tfa/disable
async fn disable(
    State(gateway): State<Gateway>,
    caller: Caller,
    body: JsonBody,
) -> Result<Response, Failure> {
    himself(&caller)?;
    let message = pb::DisableSecondFactorRequest { user: None, otp: Form::read(&body)?.text("otp")? };
    gateway.accounts().disable_second_factor(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// POST /users/:pk/tfa/disable
async fn disable_of(
    State(gateway): State<Gateway>,
    caller: Caller,
    Names(user): Names<String>,
) -> Result<Response, Failure> {
    himself(&caller)?;
    let message = pb::DisableSecondFactorRequest { user: Some(user), otp: String::new() };
    gateway.accounts().disable_second_factor(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// PATCH /users/me/track/page
async fn track(State(gateway): State<Gateway>, caller: Caller, body: JsonBody) -> Result<Response, Failure> {
    himself(&caller)?;
    let form = Form::read(&body)?;
    let last_page = form.text("last_page").map_err(|error| match form.has("last_page") {
        true => error,
        false => Error::invalid_payload("\"last_page\" key is required"),
    })?;
    gateway.accounts().track_page(gateway.call(&caller, pb::TrackPageRequest { last_page })).await?;
    Ok(answer::empty())
}

/// POST /auth/password/request
async fn request(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    body: JsonBody,
) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    let message =
        pb::RequestPasswordRequest { email: form.field("email")?, reset_url: form.optional("reset_url")? };
    gateway.accounts().request_password(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// POST /auth/password/reset
async fn reset(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    body: JsonBody,
) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    let message = pb::ResetPasswordRequest { token: form.field("token")?, password: form.field("password")? };
    gateway.accounts().reset_password(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// POST /users/invite
async fn invite(State(gateway): State<Gateway>, caller: Caller, body: JsonBody) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    form.only(&["email", "role", "invite_url"])?;
    let (emails, role) = (form.emails("email")?, form.uuid("role")?);
    let message = pb::InviteUsersRequest { emails, role, invite_url: form.optional("invite_url")? };
    gateway.accounts().invite_users(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// POST /shares/invite
async fn share(State(gateway): State<Gateway>, caller: Caller, body: JsonBody) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    form.only(&["share", "emails"])?;
    let message = pb::InviteToShareRequest { share: form.uuid("share")?, emails: form.emails("emails")? };
    gateway.accounts().invite_to_share(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// POST /users/invite/accept
async fn accept(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    body: JsonBody,
) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    let message = pb::AcceptInviteRequest { token: form.text("token")?, password: form.text("password")? };
    form.only(&["token", "password"])?;
    gateway.accounts().accept_invite(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// POST /users/register
async fn register(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    body: JsonBody,
) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    let message = pb::RegisterRequest {
        email: form.email("email")?,
        password: form.text("password")?,
        first_name: form.optional("first_name")?,
        last_name: form.optional("last_name")?,
        verification_url: form.optional("verification_url")?,
    };
    form.only(&["email", "password", "first_name", "last_name", "verification_url"])?;
    gateway.accounts().register(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// GET /users/register/verify-email?token=: on to the app.
async fn verify(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let found = tools::parameter(query.as_deref(), "token");
    let token = found.ok_or_else(|| Error::new(ErrorCode::InvalidToken))?;
    let request = gateway.call(&caller, pb::VerifyRegistrationRequest { token });
    let user = gateway.accounts().verify_registration(request).await?.into_inner().user;
    let mut response = answer::empty();
    *response.status_mut() = StatusCode::FOUND;
    // A uuid is header text.
    if let Ok(place) = HeaderValue::from_str(&format!("/admin/users/{user}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// POST /server/setup
async fn set_up(
    State(gateway): State<Gateway>,
    Anyone(caller): Anyone,
    body: JsonBody,
) -> Result<Response, Failure> {
    let form = Form::read(&body)?;
    let message = pb::SetUpRequest {
        email: form.email("project_owner")?,
        password: form.text("password")?,
        first_name: form.optional("first_name")?,
        last_name: form.optional("last_name")?,
        project_name: form.optional("project_name")?,
    };
    gateway.accounts().set_up(gateway.call(&caller, message)).await?;
    Ok(answer::empty())
}

/// GET /mails: what is queued, was sent and was given up, for administrators.
async fn mails(State(gateway): State<Gateway>, caller: Caller) -> Result<Response, Failure> {
    caller.require_admin()?;
    let request = gateway.call(&caller, pb::ListMailsRequest { limit: 0 });
    Ok(answer::of(&gateway.accounts().list_mails(request).await?.into_inner().mails))
}

fn himself(caller: &Caller) -> Result<(), Error> {
    match caller.accountability.user {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorCode::InvalidCredentials)),
    }
}
