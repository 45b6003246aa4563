"""`flashsale pages`: the shop page and the console as files, for a host of static files."""

from pathlib import Path

import click

from flashsale.cli.options import PAGE_FIELDS, setting_options, settings_or_exit

EXIT_FAILED = 1


@click.group("pages")
def command() -> None:
    """Put the pages of the shop where a CDN serves them."""


@command.command("export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--console", is_flag=True, help="Write the console too; without it only the server has one.")
@setting_options("guests", *PAGE_FIELDS)
def export_pages(directory: Path, console: bool, **options: object) -> None:
    """Write the shop page and its files below DIRECTORY.

    The host has to answer /s/* with shop.html and send the headers that the file _headers names. Netlify and Cloudflare
    Pages read the rules from the files _headers and _redirects. A page whose host is not that of the API needs
    --pages-api-url, and the server FLASHSALE_CORS_ORIGINS with the page's origin.
    """
    settings = settings_or_exit(options, "pages")

    from flashsale.pages.assets import Site
    from flashsale.pages.export import export

    try:
        site = Site.load(settings)
        names = export(site, directory, console=console)
    except OSError as error:
        click.echo(f"flashsale cannot write the pages: {error}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED) from None
    click.echo(f"{len(names)} files in {directory}, version {site.digest}")
    if settings.pages_api_url is None:
        click.echo(
            "The pages ask the host that they come from: have it pass /v1/ on, or say --pages-api-url."
        )
