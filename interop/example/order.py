"""Orders something: a task in Rust does the sum, a task in Python writes the receipt."""

from shop import app, receipt

total = app.send_task("shop.total", ([1000, 550],), {"discount": 50}).get(timeout=10)
print(receipt.delay("Ana", total).get(timeout=10))
