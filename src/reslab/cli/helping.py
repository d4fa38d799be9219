"""Help in the reader's language: what cyclopts shows, each text by the table of translations."""

from typing import Any

from cyclopts.help import DefaultFormatter, DescriptionRenderer, HelpEntry, HelpPanel, InlineText
from cyclopts.help.specs import get_default_command_columns, get_default_parameter_columns

from reslab.cli.translations import localise


class LocalisedHelp(DefaultFormatter):
    """As cyclopts formats help; texts without a translation stay English."""

    def __call__(self, console: Any, options: Any, panel: HelpPanel) -> None:
        default = get_default_command_columns if panel.format == "command" else get_default_parameter_columns
        *others, last = default(console, options, panel.entries)
        self.column_specs = (*others, last.copy(renderer=_described))
        super().__call__(console, options, panel.copy(title=localise(str(panel.title))))

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """The line that begins with `Usage:`."""
        console.print(localise(f"Usage: {usage}"), markup=False, highlight=False)

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        """What a verb does."""
        super().render_description(console, options, _localised(description))


def _described(entry: HelpEntry) -> InlineText:
    return _localised(DescriptionRenderer()(entry))


def _localised(shown: Any) -> InlineText:
    """A text with what cyclopts puts behind it, such as `[required]`."""
    said = localise(shown.primary_renderable.markup.strip())
    made = InlineText.from_format(said, "markdown", force_empty_end=shown.force_empty_end)
    for each in shown.texts:
        each.plain = localise(each.plain)
        made.append(each)
    return made
