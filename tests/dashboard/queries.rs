//! Prints every expression of the dashboard, for `tests/observe`: `queries SPAN RATE-INTERVAL`. A line each, with tabs: `query` or
//! `query_range`, `full` where a metric is there with that detail only and else `summary`, the panel, its query, the expression.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;
#[expect(dead_code, reason = "the tests use the rest")]
mod catalogue;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [span, rate] = arguments.as_slice() else { panic!("call it as `queries SPAN RATE-INTERVAL`") };
    let at_summary = catalogue::at_summary();
    for query in board::queries(&board::dashboard()) {
        let expression = board::put_in(&query.expression, span, rate);
        let way = if query.is_instant { "query" } else { "query_range" };
        let metrics = catalogue::metrics(&expression);
        let is_there = metrics.iter().all(|metric| metric == "up" || at_summary.contains(metric));
        let detail = if is_there { "summary" } else { "full" };
        println!("{way}\t{detail}\t{}\t{}\t{expression}", query.place, query.reference);
    }
}
