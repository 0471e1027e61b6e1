"""The answers of the matrix: one row per group of addresses, one column per caller. The first row that fits counts.

page: the sort of admin page, or the name of the address; models: of that page, `*` any; whose: the world of the row
named (`-` none, `other` another than ours); method: `GET` stands for every method that is not listed by itself.
`a/b`: either will do. Signed-in people are nobody to the API (401), tokens are asked nothing else.
Whoever has left is signed out at the first request, whichever it is (403).
"""

from dataclasses import dataclass

from tests.matrix import cells

# Models whose pages a store's people may open; those only a region or company has besides; whose names a brand shares.
GROUPS = {
    "STORES": "order orderline refund entry actionevent statement attained target dispute claimrow buyersnapshot"
    " member membership binding tie tier brand region store staff category product channel"
    " friend groupchat handover handoverrow contactway greeting notice touch pointsentry coupontype coupon"
    " couponquota couponuse segment consent stop event pooled poolpolicy broadcast helprequest lead shareday"
    " material materialversion materialcategory",
    "COMPANY": "franchisee",
    "BETWEEN": "companyaccount companyleg",
    "BRANDS": "brand product channel tier coupontype segment poolpolicy material materialversion materialcategory",
    "WRITTEN": "brand region franchisee store storegroup category product channel apitoken tier plan planversion rule"
    " attainment target plancase staff user contactway welcome media pointsrule tierrule tag coupontype couponquota"
    " segment poolpolicy leadpolicy postertemplate material materialcategory",
}

PEOPLE = """
page            models   whose method  anonymous clerk ex_clerk store_manager region_manager franchise_owner hq_ops hq_finance auditor
changelist      STORES   -     *       302 302 403  200 200 200  200 200 200
changelist      COMPANY  -     *       302 302 403  403 200 200  200 200 200
changelist      BETWEEN  -     *       302 302 403  403 403 200  200 200 200
changelist      exportfile -   *       302 302 403  403 403 200  200 200 200
changelist      *        -     *       302 302 403  403 403 403  200 200 200
add             broadcast -    *       302 302 403  200 200 200  200 403 403
add             WRITTEN  -     *       302 302 403  403 403 403  200 403 403
add             payterms -     *       302 302 403  403 403 403  403 200 403
add             guarantee -    *       302 302 403  403 403 403  403 200 403
add             paycycle -     *       302 302 403  403 403 403  403 200 403
add             memberimport - *       302 302 403  403 403 403  200 403 403
add             materialupload - *     302 302 403  403 403 403  200 403 403
add             *        -     *       302 302 403  403 403 403  403 403 403
change          orderline ours *       302 302 403  302 302 302  302 302 302
change          orderline other *      302 302 403  404 404 404  302 302 302
change          category *     GET     302 302 403  200 200 200  200 200 200
change          BRANDS   beside GET    302 302 403  200 200 200  200 200 200
change          STORES   ours  GET     302 302 403  200 200 200  200 200 200
change          STORES   other GET     302 302 403  404 404 404  200 200 200
change          COMPANY  ours  GET     302 302 403  403 200 200  200 200 200
change          COMPANY  other GET     302 302 403  403 404 404  200 200 200
change          BETWEEN  ours  GET     302 302 403  403 403 200  200 200 200
change          BETWEEN  other GET     302 302 403  403 403 404  200 200 200
change          exportfile ours GET    302 302 403  403 403 404  200 404 404
change          exportfile *   GET     302 302 403  403 403 404  404 404 404
change          *        *     GET     302 302 403  403 403 403  200 200 200
change          broadcast other POST   302 302 403  404 404 404  403 403 403
change          media    *     POST    302 302 403  403 403 403  302 403 403
change          tierrule *     POST    302 302 403  403 403 403  403 403 403
change          WRITTEN  *     POST    302 302 403  403 403 403  200 403 403
change          policy   *     POST    302 302 403  403 403 403  200 403 403
change          payterms *     POST    302 302 403  403 403 403  403 200 403
change          app      *     POST    302 302 403  403 403 403  200 403 403
change          guarantee *    POST    302 302 403  403 403 403  403 200 403
change          *        *     POST    302 302 403  403 403 403  403 403 403
delete          *        *     *       302 302 403  403 403 403  403 403 403
history         exportfile ours *      302 302 403  404 404 404  302 404 404
history         exportfile *   *       302 302 403  404 404 404  404 404 404
history         *        *     *       302 302 403  404 404 404  302 302 302
bare            *        *     *       302 302 403  302 302 302  302 302 302
portrait        member   ours  READ    302 302 403  200 200 200  200 200 200
portrait        member   other READ    302 302 403  404 404 404  200 200 200
portrait        member   *     *       302/405 302/405 403  405 405 405  405 405 405
unattributed    *        -     *       302 302 403  200 200 200  200 200 200
assign          binding  -     *       302 302 403  404 404 404  404 403 403
decide          tie      *     POST    302 302 403  404 404 404  404 403 403
decide          tie      *     *       302 302 403  405 405 405  405 405 405
preview         policy   *     POST    302 302 403  403 403 403  200 200 200
preview         policy   *     *       302 302 403  403 403 403  405 405 405
whatif          policy   *     *       302 302 403  403 403 403  200 200 200
material_results *       -     READ    302 302 403  200 200 200  200 200 200
material_results *       -     *       302/405 302/405 403  405 405 405  405 405 405
relations       *        -     READ    302 302 403  200 200 200  200 200 200
relations       *        -     *       302/405 302/405 403  405 405 405  405 405 405
share           pooled   -     *       302 302 403  200 200 200  200 403 403
monitor         lead     -     *       302 302 403  403 403 403  200 200 200
increments      lead     -     *       302 302 403  403 403 403  200 200 200
watch           lead     -     *       302 302 403  403 403 403  302 302 302
add_up          lead     -     *       302 302 403  403 403 403  302 302 302
switch_kind     lead     -     POST    302 302 403  403 403 403  404 403 403
switch_kind     lead     -     *       302 302 403  403 403 403  405 403 403
quality         doubt    -     *       302 302 403  404 404 404  200 200 200
merge           doubt    *     *       302 302 403  403 403 403  200 403 403
keep_apart      doubt    *     *       302 302 403  403 403 403  200 403 403
plan            handover ours  *       302 302 403  200 200 200  200 403 403
plan            handover other *       302 302 403  403 403 403  200 403 403
again           handover ours  POST    302 302 403  302 302 302  302 404 404
again           handover other POST    302 302 403  404 404 404  302 404 404
again           handover *     *       302 302 403  404 404 404  404 404 404
progress        handover ours  *       302 302 403  200 200 200  200 200 200
progress        handover other *       302 302 403  404 404 404  200 200 200
look            handover *     *       302 302 403  403 403 403  403 403 403
finish          handover *     *       302 302 403  403 403 403  403 403 403
cancel          handover ours  *       302 302 403  200 200 200  200 403 403
cancel          handover other *       302 302 403  403 403 403  200 403 403
dismiss         staff    *     *       302 302 403  403 403 403  200 403 403
hand_over       staff    ours  *       302 302 403  200 200 200  200 403 403
hand_over       staff    other *       302 302 403  403 403 403  200 403 403
undo            merge    *     *       302 302 403  403 403 403  200 403 403
why             *        ours  *       302 302 403  200 200 200  200 200 200
why             *        other *       302 302 403  404 404 404  200 200 200
add_rule        *        *     *       302 302 403  403 403 403  302 403 403
add_attainment  *        *     *       302 302 403  403 403 403  302 403 403
copy            *        *     *       302 302 403  403 403 403  200 403 403
test            *        *     *       302 302 403  403 403 403  200 403 403
remove          *        *     *       302 302 403  403 403 403  200 403 403
export          planversion *  *       302 302 403  404 404 404  200 200 200
compare         planversion *  *       302 302 403  404 404 404  200 200 200
take_in         plan     *     *       302 302 403  403 403 403  302 403 403
import          plan     *     *       302 302 403  404 404 404  200 403 403
cases           planversion *  *       302 302 403  404 404 404  200 403 403
case_of_order   planversion *  *       302 302 403  404 404 404  200 403 403
values          rule     -     *       302 302 403  403 403 403  200 200 200
preview         rule     -     POST    302 302 403  403 403 403  200 403 403
preview         rule     -     *       302 302 403  403 403 403  405 403 403
explain         dispute  ours  *       302 302 403  403 200 200  200 200 403
explain         dispute  other *       302 302 403  403 403 403  200 200 403
propose         dispute  ours  *       302 302 403  403 200 200  200 200 403
propose         dispute  other *       302 302 403  403 403 403  200 200 403
payroll         companyaccount * *     302 302 403  403 403 404  403 404 403
file            payoutbatch * *        302 302 403  403 403 403  403 404 403
orders          companyaccount * *     302 302 403  403 403 404  403 404 403
close           *        *     *       302 302 403  403 403 403  403 200 403
make_batches    *        *     *       302 302 403  403 403 403  403 403 403
discard         *        *     *       302 302 403  403 403 403  403 200 403
mark_paid       *        *     *       302 302 403  403 403 403  403 200 403
approve         materialversion * *    302 302 403  403 403 403  403 403 403
retire          material *     *       302 302 403  403 403 403  200 403 403
approve         *        *     *       302 302 403  403 403 403  403 200 403
try_on          *        *     *       302 302 403  403 403 403  200 200 403
recompute       run      -     *       302 302 403  403 403 403  200 200 403
paste           target   -     *       302 302 403  403 403 403  200 403 403
post            run      *     *       302 302 403  403 403 403  403 403 403
cancel          run      *     *       302 302 403  403 403 403  200 200 403
progress        run      *     *       302 302 403  403 403 403  200 200 200
activate        *        *     *       302 302 403  403 403 403  403 403 403
retire          *        *     *       302 302 403  403 403 403  403 403 403
admin:auth_user_password_change user * * 302 302 403  403 403 403  200 403 403
agree           *        *     *       302 302 403  403 403 403  403 403 403
refuse          *        *     *       302 302 403  403 403 403  403 403 403
end_sessions    staff    ours  *       302 302 403  200 200 200  200 200 403
end_sessions    staff    other *       302 302 403  403 403 403  200 200 403
end_sessions    user     *     *       302 302 403  403 403 403  200 403 403
revoke          apitoken *     *       302 302 403  403 403 403  200 403 403
reset_factor    user     *     *       302 302 403  403 403 403  200 403 403
download        exportfile ours POST   302 302 403  403 403 404  302 404 404
download        exportfile *   POST    302 302 403  403 403 404  404 404 404
download        exportfile *   *       405 405 403  405 405 405  405 405 405
erase           member   ours  *       302 302 403  403 403 403  200 403 403
erase           member   other *       302 302 403  403 403 403  200 403 403
adjust_points   membership *   *       302 302 403  403 403 403  200 403 403
give_tier       membership *   *       302 302 403  403 403 403  200 403 403
try_out         tierrule *     POST    302 302 403  403 403 403  200 403 403
try_out         tierrule *     *       302 302 403  403 403 403  200 200 200
issue           coupontype *   *       302 302 403  403 403 403  200 403 403
quotas          coupontype *   *       302 302 403  403 403 403  200 403 403
codes           coupontype *   *       302 302 403  403 403 403  200 403 403
make_codes      coupontype *   *       302 302 403  403 403 403  200 403 403
codes           couponissue *  *       302 302 403  403 403 403  403 403 403
progress        couponissue *  *       302 302 403  403 403 403  200 200 200
stop            couponissue *  *       302 302 403  403 403 403  200 403 403
void            coupon   *     *       302 302 403  403 403 403  200 403 403
leave_alone     member   ours  *       302 302 403  200 200 200  200 403 403
leave_alone     member   other *       302 302 403  403 403 403  200 403 403
correct         member   *     *       302 302 403  403 403 403  200 403 403
take_out        member   *     *       302 302 403  403 403 403  200 403 403
suspect         member   *     *       302 302 403  403 403 403  200 403 403
find            member   -     *       302 302 403  403 403 403  200 403 403
lift            stop     ours  *       302 302 403  200 200 200  200 403 403
lift            stop     other *       302 302 403  403 403 403  200 403 403
preview         material -     POST    302 302 403  403 403 403  200 403 403
preview         material -     *       302 302 403  403 403 403  405 403 403
submit          material *     *       302 302 403  403 403 403  403 403 403
withdraw        material *     *       302 302 403  403 403 403  403 403 403
revise          material *     *       302 302 403  403 403 403  200 403 403
revive          material *     *       302 302 403  403 403 403  403 403 403
send_back       materialversion * *    302 302 403  403 403 403  403 403 403
progress        materialupload * *     302 302 403  403 403 403  200 200 200
progress        broadcast ours *       302 302 403  200 200 200  200 200 200
progress        broadcast other *      302 302 403  404 404 404  200 200 200
people          broadcast ours *       302 302 403  200 200 200  200 200 200
people          broadcast other *      302 302 403  404 404 404  200 200 200
send            broadcast *    *       302 302 403  403 403 403  403 403 403
cancel          broadcast *    *       302 302 403  403 403 403  403 403 403
remind          broadcast ours *       302 302 403  200 200 200  200 403 403
remind          broadcast other *      302 302 403  403 403 403  200 403 403
answer          helprequest ours *     302 302 403  200 200 200  200 403 403
answer          helprequest other *    302 302 403  403 403 403  200 403 403
take            helprequest ours *     302 302 403  200 200 200  200 403 403
take            helprequest other *    302 302 403  403 403 403  200 403 403
hand_on         helprequest ours *     302 302 403  200 200 200  200 403 403
hand_on         helprequest other *    302 302 403  403 403 403  200 403 403
progress        memberimport * *       302 302 403  403 403 403  200 200 200
columns         memberimport * POST    302 302 403  403 403 403  302 403 403
start           memberimport * POST    302 302 403  403 403 403  302 403 403
refused         memberimport * POST    302 302 403  403 403 403  302 403 403
columns         memberimport * *       302 302 403  405 405 405  405 405 405
start           memberimport * *       302 302 403  405 405 405  405 405 405
refused         memberimport * *       302 302 403  405 405 405  405 405 405
code            contactway *   *       302 302 403  404 404 404  404 404 404
refresh_now     segment  *     *       302 302 403  403 403 403  200 403 403
end             segment  *     *       302 302 403  403 403 403  200 403 403
people          segment  theirs *      302 302 403  404 404 404  200 200 200
people          segment  *     *       302 302 403  200 200 200  200 200 200
moves           segment  theirs *      302 302 403  404 404 404  200 200 200
moves           segment  *     *       302 302 403  200 200 200  200 200 200
values          segment  -     *       302 302 403  403 403 403  200 403 403
preview         segment  -     POST    302 302 403  403 403 403  200 403 403
preview         segment  -     *       302 302 403  403 403 403  405 403 403
preview         postertemplate - POST  302 302 403  403 403 403  200 403 403
preview         postertemplate - *     302 302 403  403 403 403  405 403 403
background      postertemplate * *     302 302 403  404 404 404  200 200 200
proof           postertemplate * *     302 302 403  404 404 404  200 200 200
preview         welcome  -     POST    302 302 403  403 403 403  200 403 403
preview         welcome  -     *       302 302 403  403 403 403  405 403 403
switch_off      app      *     *       302 302 403  403 403 403  200 403 403
switch_on       app      *     *       302 302 403  403 403 403  403 403 403
put_on          tag      *     *       302 302 403  403 403 403  200 403 403
take_off        tag      *     *       302 302 403  403 403 403  200 403 403
switch_off      tag      *     *       302 302 403  403 403 403  200 403 403
switch_on       tag      *     *       302 302 403  403 403 403  403 403 403
sync_now        syncrun  -     *       302 302 403  403 403 403  200 403 403
unmask          staff    ours  *       302 302 403  403 403 403  404 403 403
unmask          staff    other *       302 302 403  404 404 404  404 403 403
unmask          *        ours  POST    302 302 403  403 403 403  400 403 403
unmask          *        ours  *       302 302 403  403 403 403  200 403 403
unmask          *        other POST    302 302 403  404 404 404  400 403 403
unmask          *        other *       302 302 403  404 404 404  200 403 403
admin:-rest     *        -     *       302 302 403  404 404 404  404 404 404
admin:app_list  *        -     *       302 302 403  200 200 200  200 200 200
admin:autocomplete *     -     OPTIONS 302 302 403 200 200 200  200 200 200
admin:autocomplete *     -     CHANGE  302 302 403 405 405 405  405 405 405
admin:autocomplete *     -     POST    302 302 403  405 405 405  405 405 405
admin:autocomplete *     -     *       302 302 403  403 403 403  403 403 403
admin:index     *        -     *       302 302 403  200 200 200  200 200 200
admin:search    *        -     *       302 302 403  200 200 200  200 200 200
admin:jsi18n    *        -     CHANGE 302 302 403  405 405 405  405 405 405
admin:jsi18n    *        -     POST    302 302 403  405 405 405  405 405 405
admin:jsi18n    *        -     *       302 302 403  200 200 200  200 200 200
admin:login     *        -     PATCH  405 405 403  405 405 405  405 405 405
admin:login     *        -     DELETE 405 405 403  405 405 405  405 405 405
admin:login     *        -     PUT    200 200 403  200 200 200  200 200 200
admin:login     *        -     HEAD   200 200 403  200 200 200  200 200 200
admin:login     *        -     OPTIONS 200 200 403 200 200 200  200 200 200
admin:login     *        -     POST    200 200 403  200 200 200  200 200 200
admin:login     *        -     *       200 200 403  302 302 302  302 302 302
admin:logout    *        -     OPTIONS 302 302 403 200 200 200  200 200 200
admin:logout    *        -     POST    302 302 403  200 200 200  200 200 200
admin:logout    *        -     *       302 302 403  405 405 405  405 405 405
admin:password_change *  -     PATCH  302 302 403  405 405 405  405 405 405
admin:password_change *  -     DELETE 302 302 403  405 405 405  405 405 405
admin:password_change *  -     *       302 302 403  200 200 200  200 200 200
admin:password_change_done * - CHANGE 302 302 403  405 405 405  405 405 405
admin:password_change_done * - POST    302 302 403  405 405 405  405 405 405
admin:password_change_done * - *       302 302 403  200 200 200  200 200 200
admin:view_on_site *     -     *       302 302 403  404 404 404  404 404 404
entrance:wecom  *        -     READ    302/404 302/404 403  302/404 302/404 302/404  302/404 302/404 302/404
entrance:wecom_back *    -     READ    400 400 403  400 400 400  400 400 400
entrance:wecom* *        -     *       405 405 403  405 405 405  405 405 405
entrance:*      *        -     CHANGE 405 405 403  405 405 405  405 405 405
entrance:*      *        -     OPTIONS 405 405 403 405 405 405  405 405 405
entrance:verify *        -     *       302 302 403  302 302 302  302 302 302
entrance:end_others *    -     POST    302 302 403  302 302 302  302 302 302
entrance:safety *        -     POST    405 405 403  405 405 405  405 405 405
entrance:safety *        -     *       302 302 403  200 200 200  200 200 200
entrance:codes  *        -     POST    302 302 403  200 200 200  200 200 200
entrance:codes  *        -     *       405 405 403  405 405 405  405 405 405
entrance:end_others *    -     *       405 405 403  405 405 405  405 405 405
entrance:*      *        -     *       302 302 403  200 200 200  200 200 200
clerks:home     *        -     READ    302 200 403  200 403 403  403 403 403
clerks:month    *        -     READ    302 200 403  200 403 403  403 403 403
clerks:actions  *        -     READ    302 200 403  200 403 403  403 403 403
clerks:day      *        -     READ    302 200 403  200 403 403  403 403 403
clerks:attained *        ours  READ    302 200 403  404 403 403  403 403 403
clerks:attained *        other READ    302 404 403  404 403 403  403 403 403
clerks:statements *      -     READ    302 200 403  200 403 403  403 403 403
clerks:statement *       ours  READ    302 200 403  404 403 403  403 403 403
clerks:statement *       other READ    302 404 403  404 403 403  403 403 403
clerks:statement_confirm * ours POST   302 302 403  404 403 403  403 403 403
clerks:statement_confirm * other POST  302 404 403  404 403 403  403 403 403
clerks:statement_dispute * ours POST   302 409 403  404 403 403  403 403 403
clerks:statement_dispute * other POST  302 404 403  404 403 403  403 403 403
clerks:sale_dispute *    ours  POST    302 409 403  409 403 403  403 403 403
clerks:sale_dispute *    other POST    302 404 403  404 403 403  403 403 403
clerks:dispute_withdraw * ours POST    302 302 403  404 403 403  403 403 403
clerks:dispute_withdraw * other POST   302 404 403  404 403 403  403 403 403
clerks:pool     *        -     READ    302 200 403  200 403 403  403 403 403
clerks:pool_claim *      *     POST    302 409 403  409 403 403  403 403 403
clerks:customers *       -     READ    302 200 403  200 403 403  403 403 403
clerks:customers_search * -    POST    302 200 403  200 403 403  403 403 403
clerks:story    *        ours  READ    302 200 403  200 403 403  403 403 403
clerks:story    *        other READ    302 404 403  404 403 403  403 403 403
clerks:customer_give *   ours  POST    302 400 403  400 403 403  403 403 403
clerks:customer_give *   other POST    302 404 403  404 403 403  403 403 403
clerks:customer_tag *    ours  POST    302 400 403  400 403 403  403 403 403
clerks:customer_tag *    other POST    302 404 403  404 403 403  403 403 403
clerks:note     *        ours  POST    302 400 403  400 403 403  403 403 403
clerks:note     *        other POST    302 404 403  404 403 403  403 403 403
clerks:note_delete *     ours  POST    302 302/404 403  302/404 403 403  403 403 403
clerks:note_delete *     other POST    302 404 403  404 403 403  403 403 403
clerks:customer *        ours  READ    302 200 403  200 403 403  403 403 403
clerks:customer *        other READ    302 404 403  404 403 403  403 403 403
clerks:send     *        ours  POST    302 409 403  409 403 403  403 403 403
clerks:send     *        other POST    302 404 403  404 403 403  403 403 403
clerks:chat     *        ours  POST    302 409 403  409 403 403  403 403 403
clerks:chat     *        other POST    302 404 403  404 403 403  403 403 403
clerks:wishes   *        ours  READ    302 200 403  200 403 403  403 403 403
clerks:wishes   *        other READ    302 404 403  404 403 403  403 403 403
clerks:wishes   *        *     POST    302 404 403  404 403 403  403 403 403
clerks:leads    *        -     READ    302 200 403  200 403 403  403 403 403
clerks:leads_pool *      -     READ    302 200 403  200 403 403  403 403 403
clerks:leads_team *      -     READ    302 403 403  200 403 403  403 403 403
clerks:lead     *        ours  READ    302 200 403  404 403 403  403 403 403
clerks:lead     *        other READ    302 404 403  404 403 403  403 403 403
clerks:lead_contact *    ours  POST    302 409 403  404 403 403  403 403 403
clerks:lead_contact *    other POST    302 404 403  404 403 403  403 403 403
clerks:lead_claim *      *     POST    302 404 403  404 403 403  403 403 403
clerks:lead_later *      ours  POST    302 302 403  404 403 403  403 403 403
clerks:lead_later *      other POST    302 404 403  404 403 403  403 403 403
clerks:lead_refuse *     ours  POST    302 302 403  404 403 403  403 403 403
clerks:lead_refuse *     other POST    302 404 403  404 403 403  403 403 403
clerks:lead_replied *    ours  POST    302 302 403  404 403 403  403 403 403
clerks:lead_replied *    other POST    302 404 403  404 403 403  403 403 403
clerks:materials *       -     READ    302 200 403  200 403 403  403 403 403
clerks:materials_beside * ours READ    302 200 403  200 403 403  403 403 403
clerks:materials_beside * other READ   302 404 403  404 403 403  403 403 403
clerks:material * theirs       READ    302 404 403  404 403 403  403 403 403
clerks:material *        *     READ    302 200 403  200 403 403  403 403 403
clerks:material_to * theirs    READ    302 404 403  404 403 403  403 403 403
clerks:material_to *     *     READ    302 200 403  200 403 403  403 403 403
clerks:material_favour * theirs POST   302 404 403  404 403 403  403 403 403
clerks:material_favour * *     POST    302 302 403  302 403 403  403 403 403
clerks:material_share *  *     POST    302 404 403  404 403 403  403 403 403
clerks:material_original * *   POST    302 404 403  404 403 403  403 403 403
clerks:material_poster * theirs POST   302 404 403  404 403 403  403 403 403
clerks:material_poster * *     POST    302 404 403  404 403 403  403 403 403
clerks:material_file * ours    READ    302 200 403  200 200 200  200 200 200
clerks:material_file * beside  READ    302 200 403  200 200 200  200 200 200
clerks:material_file * theirs  READ    302 404 403  404 404 404  200 200 200
clerks:shares   *        -     READ    302 200 403  200 403 403  403 403 403
clerks:share_sent *      ours  POST    302 200/409 403  404 403 403  403 403 403
clerks:share_sent *      other POST    302 404 403  404 403 403  403 403 403
clerks:poster   *        *     READ    302 404 403  404 403 403  403 403 403
clerks:poster_picture *  *     READ    302 404 403  404 403 403  403 403 403
clerks:replies  *        -     READ    302 200 403  200 403 403  403 403 403
clerks:replies  *        -     POST    302 400 403  400 403 403  403 403 403
clerks:reply    *        *     READ    302 404 403  404 403 403  403 403 403
clerks:reply    *        *     POST    302 404 403  404 403 403  403 403 403
clerks:reply_delete *    *     POST    302 404 403  404 403 403  403 403 403
clerks:sidebar  *        -     READ    302 200 403  200 403 403  403 403 403
clerks:sidebar_customer * -    POST    302 200 403  200 403 403  403 403 403
clerks:signatures *      -     READ    302 404 403  404 403 403  403 403 403
clerks:signatures *      -     POST    302 404 403  404 403 403  403 403 403
clerks:me       *        -     READ    302 200 403  200 403 403  403 403 403
clerks:vouchers *        -     READ    302 200 403  200 403 403  403 403 403
clerks:notices  *        -     READ    302 200 403  200 200 200  200 200 200
clerks:notice_of_broadcast * ours READ 302 302 403  404 404 404  404 404 404
clerks:notice_of_broadcast * other READ 302 404 403  404 404 404  404 404 404
clerks:help     *        -     READ    302 200 403  200 200 200  200 200 200
clerks:help_one *        ours  READ    302 200 403  200 200 200  200 200 200
clerks:help_one *        other READ    302 404 403  404 404 404  200 200 200
clerks:help_do  *        ours  POST    302 400 403  400 400 400  400 400 400
clerks:help_do  *        other POST    302 404 403  404 404 404  400 400 400
clerks:help_ask *        ours  POST    302 400 403  400 403 403  403 403 403
clerks:help_ask *        other POST    302 404 403  404 403 403  403 403 403
clerks:notice   *        ours  READ    302 200 403  404 404 404  404 404 404
clerks:notice   *        other READ    302 404 403  404 404 404  404 404 404
clerks:notice_open *     ours  READ    302 302 403  404 404 404  404 404 404
clerks:notice_open *     other READ    302 404 403  404 404 404  404 404 404
clerks:notice_done *     ours  POST    302 302 403  404 404 404  404 404 404
clerks:notice_done *     other POST    302 404 403  404 404 404  404 404 404
clerks:sale     *        ours  READ    302 200 403  200 403 403  403 403 403
clerks:sale     *        other READ    302 404 403  404 403 403  403 403 403
clerks:sign_in  *        -     READ    200/404 302 403  302 200/404 200/404  200/404 200/404 200/404
clerks:sign_in_back *    -     READ    400 400 403  400 400 400  400 400 400
clerks:sign_out *        -     POST    302 302 403  302 302 302  302 302 302
clerks:type_size *       -     POST    302 302 403  302 302 302  302 302 302
clerks:*        *        *     *       405 405 403  405 405 405  405 405 405
shared:stay     *        -     POST    400 400 403  400 400 400  400 400 400
shared:stay     *        -     *       405 405 403  405 405 405  405 405 405
shared:forget   *        -     POST    404 404 403  404 404 404  404 404 404
shared:forget   *        -     *       405 405 403  405 405 405  405 405 405
shared:*        *        -     READ    404 404 403  404 404 404  404 404 404
shared:*        *        -     *       405 405 403  405 405 405  405 405 405
wecom_callback_bare *    -     READ    404 404 403  404 404 404  404 404 404
wecom_callback_bare *    -     POST    404 404 403  404 404 404  404 404 404
wecom_callback_bare *    *     *       405 405 403  405 405 405  405 405 405
wecom_callback  *        -     READ    404 404 403  404 404 404  404 404 404
wecom_callback  *        -     POST    404 404 403  404 404 404  404 404 404
wecom_callback  *        *     *       405 405 403  405 405 405  405 405 405
doors           *        -     READ    302 302 403  302 302 302  302 302 302
doors           *        -     *       405 405 403  405 405 405  405 405 405
enter           *        -     POST    404 404 403  404 404 404  404 404 404
enter           *        -     *       405 405 403  405 405 405  405 405 405
switch          *        -     POST    302 403 403  403 403 403  403 403 403
switch          *        -     *       405 405 403  405 405 405  405 405 405
live            *        -     READ    200 200 403  200 200 200  200 200 200
live            *        -     *       405 405 403  405 405 405  405 405 405
ready           *        -     READ    200 200 403  200 200 200  200 200 200
ready           *        -     *       405 405 403  405 405 405  405 405 405
metrics         *        -     READ    404 404 403  404 404 404  404 404 404
metrics         *        -     *       405 405 403  405 405 405  405 405 405
schema          *        -     SAFE    200 200 403  200 200 200  200 200 200
schema          *        -     *       405 405 403  405 405 405  405 405 405
order-*         *        *     *       401 401 403  401 401 401  401 401 401
refund-*        *        *     *       401 401 403  401 401 401  401 401 401
event-*         *        *     *       401 401 403  401 401 401  401 401 401
member-*        *        *     *       401 401 403  401 401 401  401 401 401
couponclaim-*   *        *     *       401 401 403  401 401 401  401 401 401
product-*       *        *     *       401 401 403  401 401 401  401 401 401
store-*         *        *     *       401 401 403  401 401 401  401 401 401
staff-*         *        *     *       401 401 403  401 401 401  401 401 401
entry-*         *        *     *       401 401 403  401 401 401  401 401 401
segment*        *        *     *       401 401 403  401 401 401  401 401 401
"""  # noqa: E501

# Reading takes `can_read`, which the feed's token has not; posting takes a channel, which only it has.
SYSTEMS = """
page            models   whose method  store_token region_token franchisee_token brand_token feed_token
schema          *        -     SAFE    200 200 200 200 200
schema          *        -     *       405 405 405 405 405
refund-list     *        -     OPTIONS 200 200 200 200 403
refund-list     *        -     READ    405 405 405 405 403
event-list      *        -     OPTIONS 200 200 200 200 403
event-list      *        -     READ    405 405 405 405 403
member-list     *        -     OPTIONS 200 200 200 200 403
member-list     *        -     READ    405 405 405 405 403
couponclaim-list *       -     OPTIONS 200 200 200 200 403
couponclaim-list *       -     READ    405 405 405 405 403
*-list          *        -     SAFE    200 200 200 200 403
order-list      *        -     POST    403 403 403 403 415
refund-list     *        -     POST    403 403 403 403 415
event-list      *        -     POST    403 403 403 403 415
member-list     *        -     POST    403 403 403 403 415
couponclaim-list *       -     POST    403 403 403 403 415
*-list          *        -     *       403 403 403 403 405
product-detail  *        beside SAFE   200 200 200 200 403
segment-detail  *        beside SAFE   200 200 200 200 403
*-detail        *        *     OPTIONS 200 200 200 200 403
*-detail        *        ours  READ    200 200 200 200 403
*-detail        *        beside READ   404 404 404 200 403
*-detail        *        theirs READ   404 404 404 404 403
*-detail        *        *     *       403 403 403 403 405
"""

METHODS = {"READ": {"GET", "HEAD"}, "SAFE": {"GET", "HEAD", "OPTIONS"}, "CHANGE": {"PUT", "PATCH", "DELETE"}}


@dataclass(frozen=True)
class Row:
    page: str
    models: frozenset[str]
    whose: str
    method: str
    answers: dict[str, frozenset[int]]

    def fits(self, cell: "cells.Cell", method: str) -> bool:
        whose = {"*", cell.whose} | ({"other"} if cell.whose in ("beside", "theirs") else set())
        return self.is_of(cell.address) and self.whose in whose and self._takes(method)

    def is_of(self, address: "cells.Address") -> bool:
        page, label = address.kind
        named = page.startswith(self.page[:-1]) if self.page.endswith("*") else page == self.page
        if self.page.startswith("*"):
            named = page.endswith(self.page[1:])
        return named and ("*" in self.models or label.rpartition(".")[2] in self.models)

    def _takes(self, method: str) -> bool:
        if self.method == "GET":  # the admin answers to every other method as to GET
            return method != "POST"
        return method == self.method or self.method == "*" or method in METHODS.get(self.method, ())


def _read(table: str) -> list[Row]:
    head, *lines = table.strip().splitlines()
    callers = head.split()[4:]
    rows = []
    for line in lines:
        page, models, whose, method, *answers = line.split()
        statuses = (frozenset(map(int, answer.split("/"))) for answer in answers)
        group = frozenset(GROUPS.get(models, models).split())
        rows.append(Row(page, group, whose, method, dict(zip(callers, statuses, strict=True))))
    return rows


_PEOPLE, _SYSTEMS = _read(PEOPLE), _read(SYSTEMS)


def statuses(cell: "cells.Cell", method: str, caller: str) -> frozenset[int]:
    """The statuses that will do; none where the table has no row."""
    rows = _SYSTEMS if caller in cells.TOKENS else _PEOPLE
    return next((row.answers[caller] for row in rows if row.fits(cell, method)), frozenset())


def has_row(address: "cells.Address") -> bool:
    return any(row.is_of(address) for row in _PEOPLE)
