//! One SMTP server, and what its answers mean.

use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Letter;
use super::letter::one_line;
use crate::Error;
use crate::config::SmtpConfig;

/// How long an attempt may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long the server may take for each of its answers.
const ANSWER: Duration = Duration::from_secs(10);
/// Answers that mean ourselves and not the mail (RFC 4954): to be put right by who configures us.
const OWN_FAULT: [u16; 5] = [454, 530, 534, 535, 538];

/// Why a mail was not taken.
#[derive(Debug)]
pub struct Refusal {
    /// Another attempt is of no use.
    pub hopeless: bool,
    /// For people; without what the mail says.
    pub reason: String,
}

/// Hands mails to a server.
pub struct Smtp(AsyncSmtpTransport<Tokio1Executor>);

impl Smtp {
    /// Nothing is asked of the server yet.
    ///
    /// # Errors
    /// The host's name can't be one.
    pub fn try_new(config: &SmtpConfig) -> Result<Self, Error> {
        let parameters =
            || TlsParameters::new(config.host.clone()).map_err(|error| Error::Smtp(error.to_string()));
        let tls = if config.ignore_tls {
            Tls::None
        } else if config.secure {
            Tls::Wrapper(parameters()?)
        } else if config.login.is_some() {
            // A password is never said to who may be anybody.
            Tls::Required(parameters()?)
        } else {
            Tls::Opportunistic(parameters()?)
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .timeout(Some(ANSWER))
            .tls(tls);
        if let Some((user, password)) = &config.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        if let Some(name) = &config.name {
            builder = builder.hello_name(ClientId::Domain(name.clone()));
        }
        Ok(Self(builder.build()))
    }

    /// Hands one over. The id is that of each attempt, so that a receiver can tell a second one.
    pub async fn send(
        &self,
        from: &Mailbox,
        id: Uuid,
        letter: &Letter,
        now: OffsetDateTime,
    ) -> Result<(), Refusal> {
        let message = message(from, id, letter, now).map_err(|reason| Refusal { hopeless: true, reason })?;
        match tokio::time::timeout(PATIENCE, self.0.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let code = error.status().map(u16::from);
                let own = code.is_some_and(|code| OWN_FAULT.contains(&code));
                let reason = code.map_or_else(|| cause(&error), |code| format!("status {code}"));
                Err(Refusal { hopeless: error.is_permanent() && !own, reason })
            }
            Err(_) => Err(Refusal { hopeless: false, reason: "timeout".to_owned() }),
        }
    }
}

/// What went wrong with the connection, without what either side said.
fn cause(error: &lettre::transport::smtp::Error) -> String {
    let kind = if error.is_timeout() {
        "timeout"
    } else if error.is_tls() {
        "tls"
    } else if error.is_response() || error.is_client() {
        "protocol"
    } else {
        "connect"
    };
    kind.to_owned()
}

/// The whole mail. Line ends in what others chose are no line ends here.
fn message(from: &Mailbox, id: Uuid, letter: &Letter, now: OffsetDateTime) -> Result<Message, String> {
    let to: lettre::Address = letter.to.parse().map_err(|_| "address".to_owned())?;
    let domain = from.email.domain();
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(one_line(&letter.subject))
        .message_id(Some(format!("<{id}@{domain}>")))
        .date(now.into())
        .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::super::Letter;
    use super::{Smtp, message};
    use crate::config::{Secret, SmtpConfig};

    fn letter(to: &str, subject: &str) -> Letter {
        Letter { to: to.into(), subject: subject.into(), text: "Hello".into(), html: "<p>Hello".into() }
    }

    fn written(letter: &Letter) -> Result<String, String> {
        let from = "Shop <no-reply@example.com>".parse().unwrap();
        let message = message(&from, Uuid::nil(), letter, OffsetDateTime::UNIX_EPOCH)?;
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    #[tokio::test]
    async fn every_way_to_a_server_can_be_built() {
        let login = Some(("user".to_owned(), Secret::new("password")));
        let plain = SmtpConfig {
            // The discard port: nobody answers there.
            host: "127.0.0.1".into(),
            port: 9,
            login: None,
            secure: false,
            ignore_tls: true,
            name: Some("mail.example.com".into()),
        };
        for (secure, ignore_tls, login) in
            [(false, true, None), (false, false, None), (true, false, None), (false, false, login)]
        {
            let smtp = Smtp::try_new(&SmtpConfig { secure, ignore_tls, login, ..plain.clone() }).unwrap();
            let from = "no-reply@example.com".parse().unwrap();
            let letter = letter("a@example.com", "Hi");
            let refused =
                smtp.send(&from, Uuid::nil(), &letter, OffsetDateTime::UNIX_EPOCH).await.unwrap_err();
            assert!(!refused.hopeless, "{refused:?}");
        }
    }

    #[test]
    fn headers_are_ours_alone() {
        let text = written(&letter("a@example.com", "Hi\r\nBcc: evil@example.com")).unwrap();
        let (headers, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(!headers.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{headers}");
        assert!(headers.contains("Message-ID: <00000000-0000-0000-0000-000000000000@example.com>"));
        assert!(text.contains("text/plain") && text.contains("text/html"));
        for wrong in [
            "a@example.com\r\nBcc: b@example.com",
            "a@example.com, b@example.com",
            "a b",
            "a@b>\r\nRCPT TO:<c@d",
        ] {
            assert!(written(&letter(wrong, "Hi")).is_err(), "{wrong:?}");
        }
    }
}
