//! The page that asks for the token.

use super::{MARK, frame_head};

/// Draws it. `acts`: there is a token to log in with. `wrong`: what went wrong before.
pub(in crate::admin) fn login(acts: bool, wrong: Option<&str>) -> String {
    let head = frame_head("Finweir: log in", 0, false);
    let wrong = wrong.map_or_else(String::new, |wrong| {
        format!("<p class=\"notice warn\" role=\"alert\">{wrong}</p>")
    });
    let form = if acts {
        "<form method=\"post\" action=\"login\">\
         <label for=\"token\">Admin token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" required autofocus autocomplete=\"current-password\">\
         <label for=\"name\">Your name <small>stands beside what you do, in the record</small></label>\
         <input id=\"name\" name=\"name\" maxlength=\"40\" autocomplete=\"username\">\
         <button>Log in</button></form>\
         <p><small>For twelve hours, or until Finweir is started anew. <a href=\"./\">Back to the page</a></small></p>"
    } else {
        "<p>Nothing can be done from here: no admin token is configured. Set <code>admin.token</code>, or hand one over as \
         the credential <code>admin-token</code> of systemd, and start Finweir anew.</p><p><a href=\"./\">Back to the page</a></p>"
    };
    format!(
        "{head}<body class=\"narrow\">\n<header class=\"top\">{MARK}<h1>Finweir</h1></header>\n\
         <main class=\"card login\"><h2>Log in to act</h2>{wrong}{form}</main>\n</body>\n</html>\n"
    )
}
