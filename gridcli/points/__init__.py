"""Reading points: sources, formats, columns, filters, rejected rows."""
