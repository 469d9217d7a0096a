"""Keeps orders, and gives each an invoice number: PUT /orders/ID."""

import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer

from sequencer_client import Sequencer

sequencer = Sequencer("http://127.0.0.1:8378")
database = sqlite3.connect("orders.db", isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, invoice INTEGER UNIQUE, content TEXT)")


class Orders(BaseHTTPRequestHandler):
    def do_PUT(self):
        order = self.path.removeprefix("/orders/")
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        # The order names the request. However often this line runs for an order, the order has one number.
        invoice = sequencer.next("invoices", key=f"order-{order}")
        database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order, invoice, content))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"order {order} has invoice {invoice}\n".encode())


HTTPServer(("127.0.0.1", 8000), Orders).serve_forever()
