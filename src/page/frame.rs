//! What every page has around it: the head, the verdict, the foot.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::model::Teller;
use super::verdict::{Level, Verdict};
use super::words::{clean, instant, prose};

/// A whole page.
pub(super) fn page(title: &str, daemon: &Teller, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · rekeyd " (clean(&daemon.instance)) }
                link rel="stylesheet" href=(assets::style());
                link rel="icon" type="image/svg+xml" href=(assets::icon());
            }
            body {
                a.skip href="#main" { "To the content" }
                header {
                    a.home href="/" { "rekeyd" }
                    span.instance { (clean(&daemon.instance)) }
                    span.made { "as of " (instant(daemon.at)) " UTC" }
                }
                main #main { (content) }
                footer {
                    p {
                        "Made " (instant(daemon.at)) " UTC by rekeyd " (clean(&daemon.version)) " on " (clean(&daemon.instance))
                        "; load the page again for how it is by then. It changes nothing: commands are typed on the machine of the daemon."
                    }
                    nav aria-label="other documents" {
                        a href="/" { "the fleet" } a href="/api/v1/status" { "status as JSON" } a href="/metrics" { "metrics" }
                    }
                }
            }
        }
    }
}

/// The answer, at the top.
pub(super) fn verdict(verdict: &Verdict, under: &str) -> Markup {
    html! {
        section.verdict.(verdict.level.class()) aria-labelledby="verdict" {
            h1 #verdict { span.sign aria-hidden="true" { (verdict.level.sign()) } (prose(&verdict.headline)) }
            p.under { (under) }
            @if !verdict.points.is_empty() {
                ul { @for point in &verdict.points { li { (prose(point)) } } }
            }
        }
    }
}

/// What is said in the place of a page that cannot be shown.
pub(super) fn sorry(daemon: &Teller, text: &str) -> Markup {
    let verdict = Verdict { level: Level::Blind, headline: text.to_owned(), points: Vec::new() };
    page("not found", daemon, &self::verdict(&verdict, "The list of all tenants is on the first page."))
}
