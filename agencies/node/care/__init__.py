"""Care for those who could be harmed: sealed identities, the asylum firewall, neutral refusals, emergencies, flags."""
