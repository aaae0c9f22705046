//! What mails say. Names that people choose are escaped in HTML and can't break out of a line anywhere.

use super::{Kind, Letter};

/// Of whose project it is.
#[derive(Debug, Clone)]
pub struct Project {
    /// `project_name` of the settings.
    pub name: String,
    /// `project_color`.
    pub color: String,
}

/// What is said for each reason: subject, greeting, what to do, what the button says.
fn words(kind: Kind, project: &str) -> [String; 3] {
    match kind {
        Kind::PasswordReset => [
            "Password Reset Request".to_owned(),
            format!(
                "We received a request to reset the password of your account at {project}. If it was you, choose a \
                 new one within an hour. If it was not, do nothing: your password stays."
            ),
            "Reset Your Password".to_owned(),
        ],
        Kind::Invitation => [
            "You've been invited".to_owned(),
            format!("You have been invited to {project}. Choose a password to join."),
            format!("Join {project}"),
        ],
        Kind::Registration => [
            "Verify your email address".to_owned(),
            format!("Thank you for registering at {project}. Please say that this address is yours."),
            "Verify email".to_owned(),
        ],
        Kind::Share => [
            format!("{project} has shared an item with you"),
            format!("Somebody at {project} has shared an item with you. The link is enough to see it."),
            "View shared item".to_owned(),
        ],
    }
}

/// The mail that asks somebody to follow a link.
pub fn compose(kind: Kind, project: &Project, to: &str, link: &str) -> Letter {
    let name = one_line(&project.name);
    let [subject, words, button] = words(kind, &name);
    let color = project.color.strip_prefix('#').filter(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()));
    let color = format!("#{}", color.filter(|hex| matches!(hex.len(), 3 | 6 | 8)).unwrap_or("6644FF"));
    let text = format!("{words}\n\n{button}:\n{link}\n\n{name}\n");
    let (title, words, button, name) = (escaped(&subject), escaped(&words), escaped(&button), escaped(&name));
    let link = escaped(link);
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"font-family:sans-serif;color:#172940;max-width:36em;margin:2em auto\">\n\
         <h1 style=\"font-size:1.4em\">{title}</h1>\n<p>{words}</p>\n\
         <p><a href=\"{link}\" style=\"background:{color};color:#fff;padding:.8em 1.2em;text-decoration:none;\
         border-radius:6px;display:inline-block\">{button}</a></p>\n\
         <p style=\"color:#68768a\">If the button does not work, open this address:<br>{link}</p>\n\
         <p style=\"color:#68768a\">{name}</p>\n</body></html>\n"
    );
    Letter { to: to.to_owned(), subject, text, html }
}

/// No line ends in it.
pub fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().to_owned()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::{Project, compose};

    #[test]
    fn names_stay_names() {
        let name = "<script>alert('1')</script> \"&\"\r\nBcc: evil@example.com".to_owned();
        let project = Project { name, color: "red;background:url(//evil)".to_owned() };
        for kind in [Kind::PasswordReset, Kind::Invitation, Kind::Registration, Kind::Share] {
            let letter = compose(kind, &project, "a@example.com", "https://x.example/?a=1&token=\"><b>");
            assert!(!letter.html.contains("<script>") && !letter.html.contains("<b>"), "{}", letter.html);
            assert!(
                letter.html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &quot;&amp;&quot;")
            );
            assert!(letter.html.contains("background:#6644FF") && !letter.html.contains("evil)"));
            assert!(!letter.subject.contains(['\r', '\n']) && !letter.text.contains('\r'));
            assert!(
                !letter.text.contains("\nBcc") && letter.text.contains("https://x.example/?a=1&token=\"><b>")
            );
        }
        let project = Project { name: "Shop".to_owned(), color: "#112233".to_owned() };
        let letter = compose(Kind::Invitation, &project, "a@example.com", "https://x.example");
        assert!(letter.html.contains("background:#112233") && letter.html.contains(">Join Shop</a>"));
    }
}
