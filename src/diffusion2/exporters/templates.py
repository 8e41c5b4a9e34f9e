"""HTML from the templates that lie beside the modules that fill them."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_template(package: str, name: str, **values: object) -> str:
    """Fill a template.

    Args:
        package: where the template lies: a package of this program's, by its dotted name.
        name: the file.
        values: what the template names. Text is escaped; a name that is missing is an error.
    """
    return _environment(package).get_template(name).render(values)


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
