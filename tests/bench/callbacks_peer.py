"""The peer of the callback benchmark: what wechatpy's documentation shows, in Flask."""

import os

from flask import Flask, request
from wechatpy.enterprise import parse_message
from wechatpy.enterprise.crypto import WeChatCrypto

application = Flask(__name__)
crypto = WeChatCrypto(os.environ["BENCH_TOKEN"], os.environ["BENCH_AES_KEY"], os.environ["BENCH_CORP"])


@application.post("/callback")
def callback() -> str:
    asked = request.args
    text = crypto.decrypt_message(request.data, asked["msg_signature"], asked["timestamp"], asked["nonce"])
    parse_message(text)
    return ""
