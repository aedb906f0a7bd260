//! The pages as a whole: what they say, and that nothing of others leaves its element.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use proptest::prelude::*;
use tower::ServiceExt as _;

use super::list::{Asked, Wanted};
use super::model::{Account, Board, Credential, Key, Teller, Tenant, Told};
use super::{Source, fleet, routes, samples, tenant};

/// A fleet with something in every section, and `text` wherever others have a say.
fn everything(text: &str) -> Board {
    let mut board = samples::board(4);
    let mine = || Some(text.to_owned());
    board.daemon.instance = text.to_owned();
    board.fleet.halt =
        Some(super::model::Halt { reason: text.to_owned(), remedy: text.to_owned(), ..samples::halt() });
    board.fleet.failed = vec![(board.rows[0].credential.clone(), board.daemon.at, text.to_owned())];
    board.fleet.share = text.to_owned();
    board.rows[0].person = mine();
    board.rows[1].halt = board.fleet.halt.clone();
    (board.rows[2].stage, board.rows[2].phase) = ("soaking".to_owned(), text.to_owned());
    board.rows[2].turned_back = mine();
    board.rows[3].hold = mine();
    (board.rows[3].failures, board.rows[3].cause) = (2, mine());
    for row in &mut board.rows {
        row.reason = mine();
        row.unseen = mine();
    }
    let mut calendar = samples::calendar(&board.rows);
    calendar.coming[0].waited_for = mine();
    let mut stopped = samples::stopped(&board.rows[3]);
    (stopped.why, stopped.remedy) = (text.to_owned(), text.to_owned());
    calendar.stopped = vec![stopped];
    board.calendar = Some(Arc::new(calendar));
    board.accounts = vec![Account {
        name: text.to_owned(),
        uncovered: Some(1),
        failure: mine(),
        key_due_since: Some(board.daemon.at),
    }];
    board.told = Some(vec![Told { at: board.daemon.at, credential: None, text: text.to_owned() }]);
    board
}

fn its_tenant(text: &str) -> Tenant {
    let board = everything(text);
    let mine = || Some(text.to_owned());
    let credentials = board.rows.iter().map(|row| Credential {
        row: row.clone(),
        generation: Some(2),
        keys: vec![Key {
            role: text.to_owned(),
            name: text.to_owned(),
            in_use: true,
            made_at: row.made_at,
            ends_at: row.ends_at,
        }],
        consumer: mine(),
        asked: mine(),
        tries_again: mine(),
        last_success_at: row.since,
        gates: vec![(text.to_owned(), text.to_owned())],
        reached: vec![("creating".to_owned(), board.daemon.at)],
    });
    Tenant {
        tenant: "acme".parse().unwrap(),
        credentials: credentials.collect(),
        daemon: board.daemon,
        fleet: board.fleet,
        calendar: board.calendar,
        told: board.told,
    }
}

fn searching(text: &str) -> Wanted {
    let asked = format!("q={}", super::words::in_query(text));
    let query: axum::extract::Query<Asked> =
        axum::extract::Query::try_from_uri(&format!("/?{asked}").parse().unwrap()).unwrap();
    query.0.into()
}

/// The tags of a page with their attributes' names, and nothing of what stands in them; panics where it is none.
fn skeleton(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a lone bracket: {}", &rest[..start]);
        rest = &rest[start..];
        let (mut tag, mut quoted, mut end) = (String::new(), false, None);
        for (index, letter) in rest.char_indices() {
            match letter {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = Some(index + 1);
                    break;
                }
                letter if !quoted => tag.push(letter),
                _ => {}
            }
        }
        tags.push(tag);
        rest = &rest[end.expect("every tag ends")..];
    }
    tags
}

/// The same with letters only; what stands in backticks stays where it is.
fn harmless(text: &str) -> String {
    text.chars().map(|letter| if letter == '`' { letter } else { 'x' }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_others_leaves_its_element(
        text in "([<>&\"'`=/ \\-!]|script|style|onload|\\PC|[\\x00-\\x1f]){0,40}"
    ) {
        // The way to clear the search is there or not; nobody is found, whatever is searched for.
        prop_assume!(!text.trim().is_empty());
        let page = |text: &str| fleet::render(&everything(text), &Wanted { page: 1, ..Wanted::default() }).into_string();
        prop_assert_eq!(skeleton(&page(&text)), skeleton(&page(&harmless(&text))));
        let page = |text: &str| tenant::render(&its_tenant(text)).into_string();
        prop_assert_eq!(skeleton(&page(&text)), skeleton(&page(&harmless(&text))));
        let page = |text: &str| fleet::render(&samples::board(0), &searching(text)).into_string();
        prop_assert_eq!(skeleton(&page(&text)).len(), skeleton(&page("nobody")).len());
    }
}

#[test]
fn nothing_runs_and_nothing_is_loaded_from_elsewhere() {
    for html in [
        fleet::render(&everything("x"), &Wanted { page: 1, ..Wanted::default() }).into_string(),
        tenant::render(&its_tenant("x")).into_string(),
    ] {
        for never in ["<script", " style=", " on", "http:", "https:", "url(", "javascript:"] {
            let tags = skeleton(&html).join(" ");
            assert!(!tags.contains(never), "{never}: {tags}");
        }
        for attribute in html.split("href=\"").skip(1).chain(html.split("action=\"").skip(1)) {
            assert!(attribute.starts_with('/') || attribute.starts_with('#'), "{}", &attribute[..40]);
            assert!(!attribute.starts_with("//"), "{}", &attribute[..40]);
        }
    }
}

#[test]
fn a_page_is_as_long_as_fifty_rows_however_many_there_are() {
    let page = |size: usize| {
        let mut board = samples::board(size);
        board.calendar = Some(Arc::new(samples::calendar(&board.rows)));
        fleet::render(&board, &Wanted { page: 1, ..Wanted::default() }).into_string()
    };
    let many = page(2000);
    assert_eq!(many.matches("role=\"rowheader\"").count(), 50);
    assert!(many.contains("page 1 of 40"), "{many}");
    assert!(many.len() < 200_000, "{}", many.len());
    assert!(!page(3).contains("rel=\"next\""));
}

#[test]
fn what_needs_a_person_says_what_to_type() {
    let mut board = samples::board(2);
    board.rows[1].halt = Some(samples::halt());
    let html = fleet::render(&board, &Wanted { page: 1, ..Wanted::default() }).into_string();
    assert!(html.contains("<h1 id=\"verdict\"><span class=\"sign\" aria-hidden=\"true\">!</span>1 credential needs a person.</h1>"), "{html}");
    assert!(html.contains("<code>rekeyd resume acme/dataplane</code>"), "{html}");
    assert!(html.contains("The consumer never said what came of it."), "{html}");
}

struct Still(Board);

#[async_trait::async_trait]
impl Source for Still {
    fn asked(&self) {}

    fn daemon(&self) -> Teller {
        self.0.daemon.clone()
    }

    async fn board(&self) -> Option<Board> {
        Some(self.0.clone())
    }

    async fn tenant(&self, name: &str) -> Result<Tenant, String> {
        if name == "acme" { Ok(its_tenant("x")) } else { Err(format!("there is no tenant `{name}`")) }
    }
}

async fn ask(method: Method, path: &str) -> (StatusCode, axum::http::HeaderMap, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = routes(Arc::new(Still(samples::board(3)))).oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_answer_is_guarded_and_nothing_but_reading_is_taken() {
    for (path, expected) in
        [("/", 200), ("/tenants/acme", 200), ("/tenants/%3Cb%3E", 404), ("/?q=a&q=b&page=x", 200)]
    {
        let (status, head, body) = ask(Method::GET, path).await;
        assert_eq!(status, expected, "{path}");
        assert!(body.starts_with("<!DOCTYPE html>") && !body.contains("<b>"), "{path}: {body}");
        assert!(
            head["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'; style-src 'self';")
        );
        assert_eq!(
            (&head["cache-control"], &head["referrer-policy"]),
            (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
        let (status, _, body) = ask(Method::HEAD, path).await;
        assert_eq!((status.as_u16(), body.as_str()), (expected, ""), "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            assert_eq!(ask(method, path).await.0, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
}

#[tokio::test]
async fn the_style_is_kept_by_its_name() {
    let (_, _, html) = ask(Method::GET, "/").await;
    let address = html.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let (status, head, _) = ask(Method::GET, address).await;
    assert_eq!(
        (status, &head["cache-control"]),
        (StatusCode::OK, &"public, max-age=31536000, immutable".parse().unwrap())
    );
    assert_eq!(head["x-content-type-options"], "nosniff");
    assert_eq!(ask(Method::GET, "/assets/style-0000000000000000.css").await.0, StatusCode::NOT_FOUND);
}
