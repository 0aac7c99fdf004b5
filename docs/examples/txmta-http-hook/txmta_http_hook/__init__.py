"""
A delivery agent for txmta that posts each message to an HTTP endpoint.

In master.cf::

    hook  unix  -  n  n  -  10  plugin
      agent=http_hook url=https://hooks.example.com/mail retries=3
      { header = Authorization: Bearer sesame }

In main.cf::

    virtual_mailbox_domains = example.com
    virtual_transport = hook:
    hook_destination_recipient_limit = 1
"""
