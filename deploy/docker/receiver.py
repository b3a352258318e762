"""Prints what Alertmanager sends: the place of your chat or pager."""

import http.server
import json


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for alert in body["alerts"]:
            print(f"{alert['status'].upper()} {alert['labels']['alertname']}: {alert['annotations']['summary']}")
            print(alert["annotations"]["description"], flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


http.server.HTTPServer(("0.0.0.0", 8080), Receiver).serve_forever()
