"""What a browser would send back of an admin page."""

# Of a person's page: no row for an account in WeCom.
NO_ACCOUNTS = {"accounts-TOTAL_FORMS": "0", "accounts-INITIAL_FORMS": "0"}


def form_data(form):
    data = {}
    for name, field in form.fields.items():
        bound = form[name]
        value = bound.value()
        if not isinstance(value, bool) and hasattr(field.widget, "format_value"):
            value = field.widget.format_value(value)
            if isinstance(value, list) and not isinstance(bound.value(), list | tuple):
                # Of a select of many nothing is sent when nothing is chosen; one of one sends its value.
                value = None if field.widget.allow_multiple_selected else next(iter(value), "")
        key = bound.html_name
        if hasattr(field.widget, "decompress"):
            parts = field.widget.decompress(bound.value())
            data |= {f"{key}_{place}": str(part or "") for place, part in enumerate(parts)}
        elif isinstance(bound.value(), list | tuple):
            value = list(bound.value())
            data[key] = [str(one) for one in value if one not in (None, "")]
        elif value is True:
            data[key] = "on"
        elif value not in (None, False):
            data[key] = str(value)
    return data


def shown(answer):
    """What a browser would send back of a page, unchanged."""
    data = form_data(answer.context["adminform"].form)
    for inline in answer.context["inline_admin_formsets"]:
        data |= form_data(inline.formset.management_form)
        for form in inline.formset.forms:
            data |= form_data(form)
    return {name: value for name, value in data.items() if value != []}
