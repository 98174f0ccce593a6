{# Dollar signs are Compose's own; two of them are one of the shell's. Every hour it looks whether it is due. #}
trap 'exit 143' TERM
while :; do
  sleep $$((3600 - ($$(date +%s) - {{ cron.minute * 60 }}) % 3600)) & wait $$!
{% set fields = (("%H", "%02d", cron.hours, 24), ("%d", "%02d", cron.days, 31), ("%m", "%02d", cron.months, 12), ("%w", "%d", cron.weekdays, 7)) %}
{% for field, spelt, values, most in fields if values | length < most %}
  case $$(date -u +{{ field }}) in {% for value in values %}{{ "|" if not loop.first }}{{ spelt | format(value) }}{% endfor %}) ;; *) continue ;; esac
{% else %}
  :
{% endfor %}
{{ work }}
done
