"""Public vectors, both directions, and the two oracles that are installed: wechatpy and xmltodict."""

import json
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest
import xmltodict
from django.conf import settings
from wechatpy.enterprise.crypto import WeChatCrypto

from retail.wecom import crypto, keys
from retail.wecom.crypto import Refused
from retail.wecom.parse import parse, sealed_part
from tests.factories.wecom import EVENTS
from tests.figures import figure

VECTORS = json.loads((Path(settings.BASE_DIR) / "tests/data/wecom/vectors.json").read_text(encoding="utf-8"))
SAMPLES = sorted(EVENTS.glob("*.xml"))


def opened(vector: dict) -> bytes:
    crypto.verify(
        token=vector["token"],
        timestamp=vector["timestamp"],
        nonce=vector["nonce"],
        encrypted=vector["encrypt"],
        given=vector["msg_signature"],
    )
    return crypto.decrypt(
        aes_key=vector["encoding_aes_key"], encrypted=vector["encrypt"], receive_id=vector["receiveid"]
    )


@pytest.mark.parametrize("vector", VECTORS["callback"], ids=lambda vector: vector["id"])
def test_every_public_vector(vector):
    if vector["expect"]["ok"]:
        assert opened(vector).decode() == vector["expect"]["plaintext"]
    else:
        with pytest.raises(Refused) as refused:
            opened(vector)
        assert refused.value.reason in vector["expect"]["error"]


@pytest.mark.parametrize("vector", VECTORS["jsapi_signature"], ids=lambda vector: vector["url"])
@pytest.mark.parametrize("fragment", ["", "#top"])
def test_signatures_of_pages(vector, fragment):
    signed = crypto.js_signature(
        ticket=vector["jsapi_ticket"],
        nonce=vector["noncestr"],
        timestamp=vector["timestamp"],
        url=vector["url"] + fragment,
    )
    assert signed == vector["signature"]


def test_we_seal_as_the_vector_with_a_known_prefix():
    vector = next(one for one in VECTORS["callback"] if "random_prefix" in one)
    sealed = crypto.encrypt(
        aes_key=vector["encoding_aes_key"],
        plain=vector["expect"]["plaintext"].encode(),
        receive_id=vector["receiveid"],
        random=vector["random_prefix"].encode(),
    )
    assert sealed == vector["encrypt"]


def test_wechatpy_opens_what_we_seal_and_we_what_it_seals():
    token, aes_key, corp = keys.new_token(), keys.new_aes_key(), "ww0demo0retail0001"
    theirs = WeChatCrypto(token, aes_key, corp)
    for length in range(70):
        text = "顾" * length
        sealed = crypto.encrypt(aes_key=aes_key, plain=text.encode(), receive_id=corp)
        signed = crypto.signature(token=token, timestamp="1", nonce="2", encrypted=sealed)
        body = f"<xml><Encrypt>{sealed}</Encrypt></xml>"
        assert theirs.decrypt_message(body, signed, "1", "2") == text
        encrypted = parse(theirs.encrypt_message(text, "2", "1").encode())["Encrypt"]
        assert crypto.decrypt(aes_key=aes_key, encrypted=encrypted, receive_id=corp).decode() == text


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_event_is_parsed_as_xmltodict_does(sample):
    ours, theirs = parse(sample.read_bytes()), xmltodict.parse(sample.read_bytes())["xml"]
    assert ours == {name: _as_ours(value) for name, value in theirs.items()}


def _as_ours(value):
    if isinstance(value, dict):
        return {name: _as_ours(inner) for name, inner in value.items()}
    return [_as_ours(one) for one in value] if isinstance(value, list) else value or ""


def test_there_are_55_sample_events():
    assert len(SAMPLES) == 55


BOMBS = {
    "laughs": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><xml>&b;</xml>',
    "outside": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml>&a;</xml>',
    "comment": b"<xml><!-- --><a>1</a></xml>",
    "empty tags": b"<xml>" + b"<a/>" * 15_000 + b"</xml>",
    "deep": b"<a>" * 8_000 + b"</a>" * 8_000,
    "large": b"<xml>" + b"a" * 10_000_000 + b"</xml>",
    "attributes": b"<xml " + b" ".join(b'a%d="1"' % n for n in range(6_000)) + b">",
    "NUL": b"<xml><a>\x00</a></xml>",
    "surrogate": b"<xml><a>\xed\xa0\x80</a></xml>",
    "character": b"<xml><a>&#0;</a></xml>",
    "entity": b"<xml><a>&nbsp;</a></xml>",
    "latin": b'<?xml version="1.0" encoding="utf-16"?><xml/>',
    "nothing": b"",
    "text": b"<xml>only text</xml>",
    "two roots": b"<xml><a>1</a></xml><xml/>",
    "open cdata": b"<xml><![CDATA[" * 3_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_what_is_no_message_is_refused_at_once(bomb):
    began = time.perf_counter()
    with pytest.raises(Refused):
        parse(bomb)
    assert time.perf_counter() - began < 0.15  # promised: 0.05


def test_a_text_may_speak_of_markup():
    assert parse(b"<xml><Content><![CDATA[<!DOCTYPE html> & more]]></Content></xml>") == {
        "Content": "<!DOCTYPE html> & more"
    }


def test_an_envelope_is_not_parsed_but_searched():
    assert sealed_part(b"<xml><ToUserName>a</ToUserName><Encrypt><![CDATA[ab+/=]]></Encrypt></xml>") == "ab+/="
    assert sealed_part(b"<xml>\n<Encrypt>ab</Encrypt></xml>") == "ab"
    for bad in (
        b"",
        b"<xml/>",
        b"<!DOCTYPE x><Encrypt>a</Encrypt>",
        b"<Encrypt><a/></Encrypt>",
        b"<Encrypt>a</Encrypt>" * 2,
        b"<Encrypt>" * 7_000,
    ):
        with pytest.raises(Refused):
            sealed_part(bad)


def test_whatever_is_mangled_is_refused_in_one_way(size):
    """P13: flipped, cut, doubled and swapped bytes of good messages."""
    dice, refused, seconds = random.Random(20261122), 0, 600 if size == "full" else 4
    aes_key, corp = keys.new_aes_key(), "ww0demo0retail0001"
    sealed = [crypto.encrypt(aes_key=aes_key, plain=path.read_bytes(), receive_id=corp) for path in SAMPLES]
    until, tries = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        tries += 1
        whole = dice.choice(sealed)
        if (mangled := _mangled(dice, whole.encode())) == whole.encode():
            continue
        try:
            parse(crypto.decrypt(aes_key=aes_key, encrypted=mangled.decode("latin-1"), receive_id=corp))
        except Refused:
            refused += 1
        with suppress(Refused):
            parse(_mangled(dice, dice.choice(SAMPLES).read_bytes()))
    figure("P13", f"{tries} mangled ciphers and texts in {seconds} s: 0 other errors, {refused} ciphers refused")
    assert refused > 100


def _mangled(dice: random.Random, text: bytes) -> bytes:
    place, width = dice.randrange(len(text)), dice.randrange(1, 40)
    part = dice.choice(
        [b"", dice.randbytes(1), dice.randbytes(width), text[:width], b"<!", b"]]>", b"&x;", b"<a>" * width, b"\x00"]
    )
    return text[:place] + part + text[place + dice.choice([0, len(part), width]) :]
