//! The REST API, request by request.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use crate::shop::{MAX_UPLOAD, Shop, catalogue, request};

#[tokio::test]
async fn an_upload_is_imported_and_told_to_its_user() {
    let shop = Shop::new().await;
    let worker = shop.worker().await;
    let text = format!("{}P-1;De novo;X;1;2;3\n", catalogue(3));
    let queued = shop.upload(text.as_bytes()).await;
    let job = shop.done(&queued).await;

    assert_eq!(job["status"], "completed");
    assert_eq!(
        (&job["kind"], &job["model"]),
        (&json!("import"), &json!("product"))
    );
    assert_eq!(
        (&job["record_count"], &job["file_name"]),
        (&json!(3), &json!("produtos.csv"))
    );
    assert_eq!(
        job["progress"],
        json!({ "done": 4, "total": 4, "rejected": 1 })
    );
    assert_eq!(job["is_read"], false);

    let rejected = shop
        .get(&format!("/notifications/{}/rejected", job["id"]))
        .await
        .json();
    let reason = "SKU repetido: já usado na linha 2 deste arquivo";
    let expected = json!([{ "line": 5, "field": "sku", "value": "P-1", "reason": reason }]);
    assert_eq!(rejected, json!({ "items": expected, "next_cursor": null }));

    let task = shop
        .get(&format!(
            "/tasks/{}",
            job["task_id"].as_str().expect("text")
        ))
        .await
        .json();
    assert_eq!(task["status"], "SUCCESS");
    let report = json!({ "notification_id": job["id"], "records": 3, "rejected": 1 });
    assert_eq!(task["result"], report);

    let products = shop.get("/products/?limit=2").await.json();
    assert_eq!(products["items"][1]["sku"], "P-2");
    let next = products["next_cursor"].as_str().expect("another page");
    let products = shop
        .get(&format!("/products/?limit=2&cursor={next}"))
        .await
        .json();
    assert_eq!(products["items"][0]["price"], 2.0);
    assert_eq!(products["next_cursor"], json!(null));
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn an_export_gives_its_file_when_it_is_complete() {
    let shop = Shop::new().await;
    let queued = shop.export(r#"{"model":"product","format":"json"}"#).await;
    let path = format!("/notifications/{}/file", queued.json()["notification_id"]);
    assert_eq!(
        shop.get(&path).await.error(),
        (409, "not_ready".into(), String::new())
    );
    let task = format!(
        "/tasks/{}",
        queued.json()["task_id"].as_str().expect("text")
    );
    assert_eq!(shop.get(&task).await.json()["status"], "PENDING");

    let worker = shop.worker().await;
    let job = shop.done(&queued).await;
    assert_eq!(job["file"], path);
    let file = shop.get(&path).await;
    assert_eq!(file.body, b"[\n]\n");
    assert_eq!(file.headers["content-type"], "application/json");
    let disposition = file.headers["content-disposition"].to_str().expect("ASCII");
    assert!(
        disposition.starts_with("attachment; filename=\"product-"),
        "{disposition}"
    );
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_bad_upload_is_refused_with_its_field_and_starts_nothing() {
    let shop = Shop::new().await;
    let good = catalogue(1);
    let wide = (0..200)
        .map(|n| format!("c{n}"))
        .collect::<Vec<_>>()
        .join(";");
    for (file, code) in [
        (b"".as_slice(), "empty_file"),
        (b"sku;nome;categoria;custo;preco\n", "no_records"),
        (
            b"sku;nome;categoria;custo;preco\nA;Pe\xe7a;C;1;2\n",
            "not_utf8",
        ),
        (b"a;b\n1;2\n", "missing_columns"),
        (wide.as_bytes(), "too_many_columns"),
        (
            b"sku;nome;categoria;custo;preco\nA;\"B;C;1;2\n",
            "unclosed_quote",
        ),
        (b"PK\x03\x04...", "workbook"),
    ] {
        assert_eq!(
            shop.upload(file).await.error(),
            (422, code.into(), "file".into())
        );
    }
    let file = ("file", Some("a.csv"), good.as_bytes());
    let too_large = vec![b'x'; MAX_UPLOAD + 1];
    for (fields, status, code, field) in [
        (vec![], 422, "missing_field", "file"),
        (
            vec![("model", None, b"product".as_slice())],
            422,
            "missing_field",
            "file",
        ),
        (
            vec![file, ("model", None, b"carro")],
            422,
            "unknown_model",
            "model",
        ),
        (vec![file, file], 422, "unknown_field", "file"),
        (
            vec![file, ("cor", None, b"azul")],
            422,
            "unknown_field",
            "cor",
        ),
        (
            vec![("file", Some("a.csv"), too_large.as_slice())],
            413,
            "file_too_large",
            "file",
        ),
    ] {
        let answer = shop.upload_form(&fields).await;
        assert_eq!(
            answer.error(),
            (status, code.into(), field.into()),
            "{fields:?}"
        );
    }
    let half = b"--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nsku;no";
    assert_eq!(
        shop.upload_raw(half).await.error(),
        (400, "broken_form".into(), "file".into())
    );
    let no_form = request(Method::POST, "/import/", "ana", Body::from("x"));
    assert_eq!(
        shop.ask(no_form).await.error(),
        (400, "not_a_form".into(), "file".into())
    );

    assert_eq!(shop.sent.names(), [""; 0]);
    assert_eq!(shop.number("SELECT count(*) FROM task_notification"), 0);
    assert_eq!(shop.files(), [""; 0], "nothing is left of what was refused");
}

#[tokio::test]
async fn a_bad_export_is_refused_with_its_field_and_starts_nothing() {
    let shop = Shop::new().await;
    for (body, status, code, field) in [
        ("", 400, "not_an_object", ""),
        ("[]", 400, "not_an_object", ""),
        ("{}", 422, "missing_field", "model"),
        (r#"{"model":"product"}"#, 422, "missing_field", "format"),
        (
            r#"{"model":"carro","format":"csv"}"#,
            422,
            "unknown_model",
            "model",
        ),
        (
            r#"{"model":"sale","format":"doc"}"#,
            422,
            "unknown_format",
            "format",
        ),
        (
            r#"{"model":7,"format":"csv"}"#,
            422,
            "invalid_field",
            "model",
        ),
        (
            r#"{"model":"sale","format":"csv","x":1}"#,
            422,
            "unknown_field",
            "x",
        ),
    ] {
        let answer = shop.export(body).await;
        assert_eq!(
            answer.error(),
            (status, code.into(), field.into()),
            "{body}"
        );
    }
    let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(
        shop.export(&long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(shop.sent.names(), [""; 0]);
    assert_eq!(shop.number("SELECT count(*) FROM task_notification"), 0);
}

#[tokio::test]
async fn who_does_not_say_who_asks_is_refused() {
    let shop = Shop::new().await;
    for (method, path) in [
        (Method::POST, "/import/"),
        (Method::POST, "/export/"),
        (Method::GET, "/notifications/"),
        (Method::POST, "/notifications/1/read"),
        (Method::POST, "/notifications/read-all"),
        (Method::DELETE, "/notifications/completed"),
        (Method::GET, "/notifications/1/file"),
        (Method::GET, "/notifications/1/rejected"),
        (Method::GET, "/dashboard/metrics"),
        (Method::GET, "/tasks/x"),
        (Method::GET, "/products/"),
    ] {
        for user in [None, Some(""), Some("é")] {
            let mut request = Request::builder().method(&method).uri(path);
            if let Some(user) = user {
                request = request.header("X-User", user);
            }
            let answer = shop.ask(request.body(Body::empty()).expect("valid")).await;
            let (status, _, field) = answer.error();
            assert_eq!((status, field.as_str()), (401, "X-User"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn another_users_jobs_do_not_exist() {
    let shop = Shop::new().await;
    let queued = shop
        .export(r#"{"model":"sale","format":"csv"}"#)
        .await
        .json();
    let id = &queued["notification_id"];
    let task_id = queued["task_id"].as_str().expect("text");
    for (method, path) in [
        (Method::POST, format!("/notifications/{id}/read")),
        (Method::GET, format!("/notifications/{id}/file")),
        (Method::GET, format!("/notifications/{id}/rejected")),
        (Method::GET, format!("/tasks/{task_id}")),
        (Method::GET, "/notifications/abc/file".to_owned()),
    ] {
        let answer = shop.ask(request(method, &path, "rui", Body::empty())).await;
        assert_eq!(
            answer.error(),
            (404, "not_found".into(), String::new()),
            "{path}"
        );
    }
    let listed = shop
        .ask(request(
            Method::GET,
            "/notifications/",
            "rui",
            Body::empty(),
        ))
        .await;
    assert_eq!(listed.json()["items"], json!([]));
}

#[tokio::test]
async fn completed_and_read_jobs_are_deleted_with_their_files() {
    let shop = Shop::new().await;
    let worker = shop.worker().await;
    let import = shop.done(&shop.upload(catalogue(2).as_bytes()).await).await;
    let export = shop
        .done(&shop.export(r#"{"model":"brand","format":"xml"}"#).await)
        .await;
    assert_eq!(shop.files().len(), 2);

    let read = shop
        .call(
            Method::POST,
            &format!("/notifications/{}/read", import["id"]),
        )
        .await;
    assert_eq!(read.status, StatusCode::NO_CONTENT);
    let deleted = shop
        .call(Method::DELETE, "/notifications/completed")
        .await
        .json();
    assert_eq!(deleted["count"], 1);
    assert_eq!(shop.files(), [format!("brand-{}.xml", export["id"])]);

    let read = shop
        .call(Method::POST, "/notifications/read-all")
        .await
        .json();
    assert_eq!(read["count"], 1);
    let deleted = shop
        .call(Method::DELETE, "/notifications/completed")
        .await
        .json();
    assert_eq!(deleted["count"], 1);
    assert_eq!(shop.files(), [""; 0]);
    assert_eq!(shop.number("SELECT count(*) FROM import_cursor"), 0);
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn a_file_that_was_deleted_by_hand_is_gone() {
    let shop = Shop::new().await;
    let worker = shop.worker().await;
    let job = shop
        .done(&shop.export(r#"{"model":"brand","format":"csv"}"#).await)
        .await;
    shop.inventory
        .media
        .delete(&format!("exports/brand-{}.csv", job["id"]))
        .expect("deleted");
    let path = format!("/notifications/{}/file", job["id"]);
    assert_eq!(
        shop.get(&path).await.error(),
        (410, "file_gone".into(), String::new())
    );
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn lists_come_in_pages_of_the_size_asked_for() {
    let shop = Shop::new().await;
    for _ in 0..5 {
        shop.export(r#"{"model":"sale","format":"csv"}"#).await;
    }
    let mut path = "/notifications/?limit=2".to_owned();
    let mut ids = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let page = shop.get(&path).await.json();
        let items = page["items"].as_array().expect("a list");
        sizes.push(items.len());
        ids.extend(
            items
                .iter()
                .map(|job| job["id"].as_i64().expect("a number")),
        );
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/notifications/?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(ids, [5, 4, 3, 2, 1]);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
    ] {
        let (status, _, named) = shop.get(&format!("/notifications/?{query}")).await.error();
        assert_eq!((status, named.as_str()), (422, field), "{query}");
    }
}

#[tokio::test]
async fn the_dashboard_answers_from_the_cache() {
    let shop = Shop::new().await;
    let worker = shop.worker().await;
    let empty = shop.get("/dashboard/metrics").await.json();
    assert_eq!(empty["product"], json!({ "count": 0, "stock_value": 0.0 }));
    shop.done(&shop.upload(catalogue(3).as_bytes()).await).await;
    assert_eq!(
        shop.get("/dashboard/metrics").await.json(),
        empty,
        "still cached"
    );

    let renewed = inventory::tasks::update_dashboard_metrics_cache::s();
    let handle = shop.inventory.app.send(renewed).await.expect("sent");
    handle
        .get(std::time::Duration::from_secs(60))
        .await
        .expect("renewed");
    let metrics = shop.get("/dashboard/metrics").await.json();
    assert_eq!(
        metrics["product"],
        json!({ "count": 3, "stock_value": 6.0 })
    );
    worker.stop().await.expect("stops");
}

#[tokio::test]
async fn health_needs_no_user() {
    let shop = Shop::new().await;
    let request = Request::get("/health").body(Body::empty()).expect("valid");
    let answer = shop.ask(request).await;
    assert_eq!(
        answer.json(),
        json!({ "status": "healthy", "database": true, "broker": true })
    );
}

#[tokio::test]
async fn an_unknown_path_or_method_is_told_in_the_same_envelope() {
    let shop = Shop::new().await;
    assert_eq!(shop.get("/nada").await.error().0, 404);
    assert_eq!(shop.call(Method::DELETE, "/export/").await.error().0, 405);
}

#[tokio::test]
async fn the_served_description_is_the_reviewed_one() {
    let shop = Shop::new().await;
    let served = shop.get("/openapi.json").await.json();
    let reviewed: serde_json::Value =
        serde_json::from_str(include_str!("openapi.json")).expect("valid JSON");
    assert_eq!(
        served, reviewed,
        "after a change that is meant: cargo run -p inventory -- openapi > apps/inventory/tests/it/openapi.json"
    );
}
