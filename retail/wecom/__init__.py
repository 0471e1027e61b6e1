"""WeCom (企业微信), the protocol only: callbacks in, calls out. What they mean is decided in the rooms above."""
