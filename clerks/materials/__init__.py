"""内容素材: something good to send, known to be opened, and credited when it sells (docs/materials.md)."""
